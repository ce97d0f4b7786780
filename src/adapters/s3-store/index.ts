export { createS3Bucket } from './create-bucket';
export type { S3Options } from './s3-client';
export { createS3ObjectStore } from './s3-object-store';
