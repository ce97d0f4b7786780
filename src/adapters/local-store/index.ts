export { type LocalObjectStoreOptions, createLocalObjectStore } from './local-object-store';
