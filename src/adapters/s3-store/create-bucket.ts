import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { createRequests } from './requests';
import type { S3Options } from './s3-client';
import { hasName } from './s3-errors';

/** Makes the bucket if it is not there. For servers that Ratchet starts itself: the buckets of others are theirs to make. */
export async function createS3Bucket(options: S3Options): Promise<void> {
  const requests = createRequests(options);
  await requests.send('make a bucket', undefined, async (client, abortSignal) => {
    try {
      await client.send(new CreateBucketCommand({ Bucket: requests.bucket }), { abortSignal });
    } catch (error) {
      if (!hasName(error, 'BucketAlreadyOwnedByYou')) throw error;
    }
  });
}
