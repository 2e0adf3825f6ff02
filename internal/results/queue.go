package results

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lodge/internal/database"
	"lodge/internal/fault"
	"lodge/internal/results/hub"
	"lodge/internal/work"
)

// The queue to the hub. An upload is a row with an object and an item of work; what it has reached on
// the hub is written down step by step, so that after a crash at any point the next attempt completes
// it and the hub sees it once:
//
//	nothing written   → look whether the name is free on the hub, claim it among our own uploads
//	hub_name          → from here on a file of this name and length on the hub is this upload's
//	(uploaded)        → found again by its name; not sent twice
//	hub_file_id       → only the link is missing; linking twice is no error
//	delivered_at      → done; the object goes after the retention

// workerConfig is how the queue behaves. It never gives up: a hub may be away for days.
var workerConfig = work.WorkerConfig{
	Parallel: 4,
	Backoff:  work.Backoff{Min: time.Second, Max: 5 * time.Minute},
	Lease:    time.Minute,
}

func (s *Service) runUploads(ctx context.Context) error {
	return s.queue.Worker(uploadKind, workerConfig, s.attempt).Run(ctx)
}

// attempt is one try to deliver an upload.
func (s *Service) attempt(ctx context.Context, id string) *work.Outcome {
	u, err := s.store.upload(ctx, s.store.db, id)
	switch {
	case errors.Is(err, errNoRow) || err == nil && u.Delivered != nil:
		return nil
	case err == nil:
		err = s.deliver(ctx, u)
		s.link.note(s.now(), err)
		s.forgetBucket(err, hub.Result, u.Analysis)
	}
	s.tell(id, err)
	s.cfg.Changed("uploads", u.Project, id)
	if err == nil {
		s.log.InfoContext(ctx, "result delivered to the hub", "upload", id, "analysis", u.Analysis, "bytes", u.Size)
		return nil
	}
	final := isFinal(err)
	s.log.WarnContext(ctx, "result not delivered", "upload", id, "analysis", u.Analysis, "final", final, "error", err)
	return &work.Outcome{Err: errors.New(inWords(err)), Final: final}
}

// isFinal says that trying again cannot help.
func isFinal(err error) bool {
	return fault.Is(err, fault.Missing) || hub.Status(err) == http.StatusRequestEntityTooLarge
}

// inWords is the sentence about an error that people may read.
func inWords(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind != fault.Internal {
		return f.Detail
	}
	return "Something went wrong on our side; the log says what."
}

// deliver brings an upload as far as it can.
func (s *Service) deliver(ctx context.Context, u upload) error {
	s.learnProject(ctx, u)
	bucket, err := s.hubBucket(ctx, hub.Result, u.Analysis)
	if err != nil {
		return err
	}
	f := hub.File{ID: u.HubFile, Name: u.HubName, Path: u.HubName}
	if u.HubFile == "" {
		if f, err = s.place(ctx, u, bucket); err != nil {
			return err
		}
	}
	if bucket.LinkNeeded {
		if err := s.hub.Link(ctx, bucket.ID, f); err != nil {
			return errors.Join(err, s.store.setHubFile(context.WithoutCancel(ctx), u.ID, f.ID))
		}
	}
	return s.settle(context.WithoutCancel(ctx), u, f)
}

// learnProject fills in the project of an upload that came while the hub was away.
func (s *Service) learnProject(ctx context.Context, u upload) {
	if u.Project != "" {
		return
	}
	project, err := s.projectOf(ctx, u.Analysis)
	if err == nil {
		err = s.store.setProject(ctx, u, project)
	}
	if err != nil {
		s.log.WarnContext(ctx, "the project of an upload is not known yet", "upload", u.ID, "error", err)
	}
}

// place makes sure that the hub has the file once, and gives it.
func (s *Service) place(ctx context.Context, u upload, bucket hub.Bucket) (hub.File, error) {
	file, err := s.store.file(ctx, s.store.db, kindFinal, u.FileID)
	if errors.Is(err, errNoRow) {
		return hub.File{}, fault.New(fault.Missing, "The stored file is gone")
	}
	if err != nil {
		return hub.File{}, err
	}
	unique := uniqueName(u.Filename, u.ID)
	name := u.HubName
	if name == "" || u.HubBucket != bucket.StorageID {
		if name, err = s.claim(ctx, u, bucket, unique); err != nil {
			return hub.File{}, err
		}
	} else {
		found, err := s.hub.FindUploaded(ctx, bucket.StorageID, name)
		if err != nil {
			return hub.File{}, err
		}
		for _, f := range found {
			if f.Size == u.Size || f.Size < 0 {
				return f, nil
			}
		}
		if len(found) > 0 && name != unique {
			// Somebody else took the name meanwhile, or a half of ours is there: it stays alone.
			if name, err = s.claimUnique(ctx, u, bucket, unique); err != nil {
				return hub.File{}, err
			}
		} else if len(found) > 0 {
			// Nobody else has this name, so it is what a broken upload of ours left.
			if err := s.hub.DeleteFile(ctx, found[0].ID); err != nil {
				return hub.File{}, err
			}
		}
	}
	f, err := s.upload(ctx, bucket, name, file)
	if hub.Status(err) != http.StatusConflict || name == unique {
		return f, err // what the hub has of it after an error, the next attempt finds out
	}
	if name, err = s.claimUnique(ctx, u, bucket, unique); err != nil {
		return hub.File{}, err
	}
	return s.upload(ctx, bucket, name, file)
}

// claim chooses the name that the file gets on the hub: the caller's, or a unique one if that is taken.
func (s *Service) claim(ctx context.Context, u upload, bucket hub.Bucket, unique string) (string, error) {
	name := nameOr(u.Filename, unnamed)
	taken, err := s.hub.FindUploaded(ctx, bucket.StorageID, name)
	if err != nil {
		return "", err
	}
	if len(taken) == 0 {
		claimed, err := s.store.claimName(ctx, u, bucket.StorageID, name)
		if claimed || err != nil {
			return name, err
		}
	}
	return s.claimUnique(ctx, u, bucket, unique)
}

func (s *Service) claimUnique(ctx context.Context, u upload, bucket hub.Bucket, unique string) (string, error) {
	claimed, err := s.store.claimName(ctx, u, bucket.StorageID, unique)
	if err == nil && !claimed {
		err = fmt.Errorf("the unique name %q is taken", unique)
	}
	return unique, err
}

// upload sends a stored file, from a reader that can be wound back.
func (s *Service) upload(ctx context.Context, bucket hub.Bucket, name string, file storedFile) (hub.File, error) {
	body := s.objectReader(ctx, file)
	defer func() { _ = body.Close() }()
	if err := body.open(); err != nil {
		if fault.Is(err, fault.Missing) {
			return hub.File{}, fault.Wrap(err, fault.Missing, "The stored file is gone")
		}
		return hub.File{}, storeFault(err)
	}
	f, err := s.hub.Upload(ctx, bucket.StorageID, name, file.ContentType, file.Size, body)
	if body.err != nil {
		return f, fault.Wrap(body.err, fault.Upstream, "The stored file cannot be read")
	}
	return f, err
}

// settle writes down that the hub has the result, and lets go of what is not to be kept.
func (s *Service) settle(ctx context.Context, u upload, f hub.File) error {
	var key string
	err := s.store.db.Tx(ctx, func(tx *database.Tx) error {
		key = ""
		if s.cfg.Retention == 0 {
			file, err := s.store.file(ctx, tx, kindFinal, u.FileID)
			if err != nil && !errors.Is(err, errNoRow) {
				return err
			}
			if key = file.Key; key != "" {
				if err := s.store.deleteFile(ctx, tx, u.FileID); err != nil {
					return err
				}
			}
		}
		return s.store.delivered(ctx, tx, u.ID, f.ID, s.now())
	})
	if err != nil {
		return fmt.Errorf("write down the delivery: %w", err)
	}
	s.discard(ctx, key)
	return nil
}

// expect prepares to hear of an upload's first attempt in this process.
func (s *Service) expect(id string) (heard <-chan error, forget func()) {
	ch := make(chan error, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[id] = ch
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, id)
	}
}

// tell passes the outcome of an attempt on to the request that waits for it, if one does.
func (s *Service) tell(id string, err error) {
	s.mu.Lock()
	ch := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if ch != nil {
		ch <- err
	}
}

// lookAgain is how often a waiting request looks whether another replica made the attempt.
const lookAgain = 250 * time.Millisecond

// await waits for the first attempt to end. waits says that the upload stays in the queue, and why, if
// that is known; err is why it can never be delivered.
func (s *Service) await(ctx context.Context, id string, heard <-chan error) (waits bool, why string, err error) {
	patience := time.NewTimer(s.cfg.SyncTimeout)
	defer patience.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case err := <-heard:
			if err == nil || isFinal(err) {
				return false, "", err
			}
			return true, inWords(err), nil
		case <-look.C:
			u, err := s.store.upload(ctx, s.store.db, id)
			switch {
			case err != nil:
				continue // the row is safe; only we cannot see it now
			case u.State() == stateDelivered:
				return false, "", nil
			case u.State() == stateFailed:
				return false, "", fault.New(fault.Missing, "%s", u.LastError)
			case u.State() == stateQueued && u.Attempts > 0:
				return true, u.LastError, nil
			}
		case <-patience.C:
			return true, "", nil
		case <-ctx.Done():
			return true, "", nil
		}
	}
}
