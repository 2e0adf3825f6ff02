// Package objects keeps the bytes: files in a folder (embedded) or an
// S3-compatible store (package s3 beneath), behind one Bucket. Bodies stream
// through fixed buffers; none is held in memory.
//
// # What a successful Put means
//
// The object is whole, stands under its key, and is still there after the
// power fails. Files does this in five steps:
//
//  1. The body streams into a temporary file on the same filesystem; reading,
//     hashing and writing go side by side. What a body has beyond 8 MiB is
//     written past the page cache: it is on the disk when step 2 comes, and
//     neither that flush nor anybody else's has it to wait for.
//  2. The temporary file is flushed: its bytes and its size are on the disk.
//  3. It is renamed to its key. A rename happens or does not, so nobody ever
//     sees half an object, and a replaced object is the old or the new one.
//  4. The key's folder is flushed: the name is on the disk too.
//  5. The folders above are flushed, if this process has not done so before.
//
// Whatever goes wrong in steps 1 to 3 removes the temporary file and leaves the
// key as it was. A crash leaves a temporary file, never half an object: each
// process has a temporary folder of its own that it keeps locked, and opening
// the store removes those that nobody holds any more.
//
// # Many at once
//
// Flushing is what a Put waits for. The flushes of step 2 run side by side, a
// bounded number of them, and the kernel's journal commits them together. Those of step
// 4 are grouped: Puts that come while a folder is being flushed wait for the
// next flush, and one is enough for all of them. A lone Put never waits
// for company. One flush of the whole filesystem for a group (syncfs) was
// tried: as fast when nothing else writes, several times slower as soon as
// something does, because everyone then waits for all of it.
//
// # A full disk
//
// Put fails as fault.Full when no more than a reserve would be left. Deleting
// an object takes room as well, in the database that writes it down: on a disk
// that is full to the last byte nobody could make room again.
//
// # What is checked on reading
//
// Put returns the SHA-256 of what it stored and the caller keeps it in its row.
// Verify compares while streaming and withholds the last byte until the sums
// agree, so a damaged object shows as a broken transfer, never as a file.
package objects
