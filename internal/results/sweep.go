package results

import (
	"context"
	"errors"
	"hash/maphash"
	"path"
	"slices"
	"time"

	"lodge/internal/database"
	"lodge/internal/objects"
)

const (
	// sweepDelay keeps a server that has just started free for its callers.
	sweepDelay = time.Minute
	// sweepPause is how long after a sweep the next one begins.
	sweepPause = time.Hour
	// sweepLease outlives a replica that died in a sweep.
	sweepLease = 2 * time.Minute
)

func (s *Service) runSweep(ctx context.Context) error {
	return s.queue.Lease("results.sweep", sweepLease).Run(ctx, func(ctx context.Context) error {
		for pause := sweepDelay; ; pause = sweepPause {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("the sweep of results did not finish", "error", err)
			}
		}
	})
}

// Swept is what a sweep did and found.
type Swept struct {
	// Orphans is how many objects without a row were removed.
	Orphans int
	// Expired is how many delivered uploads were removed after their retention.
	Expired int
	// Damaged lists the ids of files whose object is gone.
	Damaged []string
}

// Sweep makes rows and objects agree: what a crash left without a row goes, and rows without an object
// are reported. Delivered uploads go after their retention. Objects that another service stored, which
// are recognised by their ids, stay.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	var swept Swept
	began := s.now()
	seen := newKeySet()
	for _, prefix := range []string{"local/", "final/"} {
		if err := s.sweepObjects(ctx, prefix, began.Add(-s.cfg.OrphanAge), seen, &swept); err != nil {
			return swept, err
		}
	}
	seen.sort()
	// Only rows from before the walk, whose objects it must have met.
	err := s.store.eachFile(ctx, began, func(f storedFile) error {
		if seen.has(f.Key) {
			return nil
		}
		// It may have been removed since; only a row that is still there is damaged.
		if _, err := s.store.file(ctx, s.store.db, f.Kind, f.ID); errors.Is(err, errNoRow) {
			return nil
		} else if err != nil {
			return err
		}
		s.log.ErrorContext(ctx, "a file's object is gone", "file", f.ID, "key", f.Key, "project", f.Project)
		swept.Damaged = append(swept.Damaged, f.ID)
		return nil
	})
	if err != nil {
		return swept, err
	}
	err = s.expire(ctx, began, &swept)
	return swept, err
}

// sweepObjects removes the objects below prefix that no row speaks of, and remembers all it meets.
func (s *Service) sweepObjects(ctx context.Context, prefix string, before time.Time, seen *keySet, swept *Swept) error {
	const batch = 500
	var suspects []string
	flush := func() error {
		known, err := s.store.keysOf(ctx, suspects)
		if err != nil {
			return err
		}
		for _, key := range suspects {
			if known[key] {
				continue
			}
			if err := s.bucket.Delete(ctx, key); err != nil {
				return err
			}
			s.log.InfoContext(ctx, "removed an object that no row speaks of", "key", key)
			swept.Orphans++
		}
		suspects = suspects[:0]
		return nil
	}
	for info, err := range s.bucket.List(ctx, prefix) {
		if err != nil {
			return err
		}
		seen.add(info.Key)
		if isSuspect(info, before) {
			suspects = append(suspects, info.Key)
		}
		if len(suspects) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// isSuspect says that an object is Lodge's own and old enough to have a row.
func isSuspect(info objects.Info, before time.Time) bool {
	return isOwnID(path.Base(info.Key)) && info.Modified.Before(before)
}

// expire removes delivered uploads whose retention is over.
func (s *Service) expire(ctx context.Context, now time.Time, swept *Swept) error {
	const batch = 200
	for {
		keep := s.cfg.Retention
		if keep == 0 {
			keep = keepRecord
		}
		old, err := s.store.deliveredBefore(ctx, now.Add(-keep), batch)
		if err != nil {
			return err
		}
		for _, u := range old {
			if err := s.removeExpired(ctx, u); err != nil {
				return err
			}
			swept.Expired++
		}
		if len(old) < batch {
			return nil
		}
	}
}

// keepRecord is how long the record of a delivery is shown when its file was removed at once.
const keepRecord = 24 * time.Hour

func (s *Service) removeExpired(ctx context.Context, u upload) error {
	var key string
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		key = ""
		f, err := s.store.file(ctx, tx, kindFinal, u.FileID)
		if err != nil && !errors.Is(err, errNoRow) {
			return err
		}
		key = f.Key
		if err := s.queue.Remove(ctx, tx, uploadKind, u.ID); err != nil {
			return err
		}
		if err := s.store.deleteUpload(ctx, tx, u.ID); err != nil {
			return err
		}
		return s.store.deleteFile(ctx, tx, u.FileID)
	})
	if err != nil {
		return err
	}
	s.discard(ctx, key)
	return nil
}

// keySet remembers keys in eight bytes each, so that a million objects take eight megabytes. Two keys
// in 2^64 may be taken for one another, which at worst leaves one damage unreported until the next sweep.
type keySet struct {
	seed maphash.Seed
	sums []uint64
}

func newKeySet() *keySet { return &keySet{seed: maphash.MakeSeed()} }

func (k *keySet) add(key string) { k.sums = append(k.sums, maphash.String(k.seed, key)) }

func (k *keySet) sort() { slices.Sort(k.sums) }

func (k *keySet) has(key string) bool {
	_, ok := slices.BinarySearch(k.sums, maphash.String(k.seed, key))
	return ok
}
