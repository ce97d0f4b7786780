export { createS3Bucket } from './create-bucket';
export type { S3Options } from './s3-client';
export { createS3ObjectStore, type S3ObjectStoreOptions } from './s3-object-store';
