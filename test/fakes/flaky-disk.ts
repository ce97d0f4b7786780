import type { AppendFile, Disk } from '../../src/adapters/spool/disk';
import { localDisk } from '../../src/adapters/spool/disk';

/** A real disk whose calls can be made to fail, wait or be counted. */
export interface FlakyDisk extends Disk {
  /** Files that were ever created for appending, oldest first. */
  readonly created: string[];
  writes: number;
  datasyncs: number;
  /** Awaited before each write; what it throws, the write throws after half of its bytes. */
  beforeWrite: (path: string) => Promise<void> | void;
  /** The same before each datasync, of which nothing happens then. */
  beforeDatasync: (path: string) => Promise<void> | void;
}

export function createFlakyDisk(): FlakyDisk {
  const disk: FlakyDisk = {
    ...localDisk,
    created: [],
    writes: 0,
    datasyncs: 0,
    beforeWrite: () => undefined,
    beforeDatasync: () => undefined,
    async create(path) {
      const file = await localDisk.create(path);
      if (!path.endsWith('.log')) return file;
      disk.created.push(path);
      const flaky: AppendFile = {
        ...file,
        async write(bytes) {
          disk.writes++;
          try {
            await disk.beforeWrite(path);
          } catch (error) {
            await file.write(bytes.subarray(0, Math.floor(bytes.byteLength / 2)));
            throw error;
          }
          await file.write(bytes);
        },
        async datasync() {
          disk.datasyncs++;
          await disk.beforeDatasync(path);
          await file.datasync();
        },
      };
      return flaky;
    },
  };
  return disk;
}

/** As the file system reports it. */
export function errno(code: string): Error {
  return Object.assign(new Error(`${code}: fake`), { code });
}
