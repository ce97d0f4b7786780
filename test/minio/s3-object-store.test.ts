import { randomBytes } from 'node:crypto';
import { createS3ObjectStore, type S3Options } from '../../src/adapters/s3-store';
import { objectStoreContract } from '../contract/object-store.contract';
import { newBucket } from '../helpers/minio-server';

let bucket: S3Options;
beforeAll(async () => {
  bucket = await newBucket();
});

objectStoreContract(
  'the store in S3',
  async () => {
    const options = { ...bucket, prefix: `contract/${randomBytes(6).toString('hex')}` };
    return {
      store: createS3ObjectStore(options),
      compiled: { module: 'src/adapters/s3-store', create: 'createS3ObjectStore', options },
      close: async () => undefined, // the bucket goes with its server
    };
  },
  { noFolders: 'S3 has no folders, and could not look for one and write in a single step' },
);
