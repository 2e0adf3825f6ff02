package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"time"

	"lodge/internal/fault"
)

func file(r record) File {
	f := File{
		ID: r.id("id"), Name: r.text("name"), Path: r.text("path"),
		BucketID: r.id("bucket_id"), Size: r.number("size", -1),
	}
	if f.Path == "" {
		f.Path = f.Name
	}
	return f
}

// FindUploaded lists the files that were uploaded into the storage bucket under exactly this name.
// It finds none on a hub that does not let us list files.
func (c *Client) FindUploaded(ctx context.Context, storageID, name string) ([]File, error) {
	id, ok := canonical(storageID)
	if !ok {
		return nil, fault.New(fault.Missing, "Bucket with ID %s was not found", storageID)
	}
	var found []File
	err := c.list(ctx, c.storage, "bucket-files", []filter{{"bucket_id", id}, {"path", name}}, func(r record) bool {
		if f := file(r); f.ID != "" && f.BucketID == id && sameName(f, name) {
			found = append(found, f)
		}
		return false
	})
	if lacks(err) {
		return nil, nil
	}
	return found, err
}

// sameName compares with the path as it was sent, and with the name alone where the hub cuts it.
func sameName(f File, name string) bool {
	return f.Path == name || (f.Path == f.Name && f.Name == path.Base(name))
}

// BucketFile gets a file's record; fault.Missing if the hub has none such.
func (c *Client) BucketFile(ctx context.Context, id string) (File, error) {
	absent := fmt.Sprintf("Object with ID %s does not exist", id)
	clean, ok := canonical(id)
	if !ok {
		return File{}, fault.New(fault.Missing, "%s", absent)
	}
	r, err := c.get(ctx, c.storage.at("bucket-files", clean), absent)
	if err != nil {
		return File{}, err
	}
	f := file(r)
	if f.ID != clean || f.BucketID == "" {
		return File{}, unexpected(fmt.Errorf("asked for file %s, got %q in bucket %q", clean, f.ID, f.BucketID))
	}
	return f, nil
}

// DeleteFile removes the file. Removing one that does not exist is no error.
func (c *Client) DeleteFile(ctx context.Context, id string) error {
	clean, ok := canonical(id)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errSlow)
	defer cancel()
	resp, err := c.send(ctx, http.MethodDelete, c.storage.at("bucket-files", clean), jsonHead(), nil)
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode/100 == 2 || (resp.StatusCode == http.StatusNotFound && !isHTML(resp)) {
		return nil
	}
	return refused(resp).fault()
}

// Stream opens the file's bytes. The reader fails when the hub cuts the transfer or stalls, but a
// hub may also end it early without a sign: compare the length with File.Size.
func (c *Client) Stream(ctx context.Context, fileID string) (io.ReadCloser, error) {
	absent := fmt.Sprintf("Object with ID %s does not exist", fileID)
	clean, ok := canonical(fileID)
	if !ok {
		return nil, fault.New(fault.Missing, "%s", absent)
	}
	ctx, w := watch(ctx, c.timeout)
	resp, err := c.send(ctx, http.MethodGet, c.storage.at("bucket-files", clean, "stream"), nil, nil)
	if err != nil {
		w.stop()
		return nil, err
	}
	switch coding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode == http.StatusNotFound:
		err = missing(resp, absent)
	case resp.StatusCode != http.StatusOK:
		err = refused(resp).fault()
	case isHTML(resp):
		err = unexpected(errors.New("a page of HTML came instead of the file"))
	case coding != "" && coding != "identity":
		err = unexpected(fmt.Errorf("the file came in the encoding %q that we did not ask for", coding))
	}
	if err != nil {
		w.stop()
		_ = resp.Body.Close()
		return nil, err
	}
	w.progress(c.idle)
	return &download{ctx: ctx, body: resp.Body, watch: w, idle: c.idle}, nil
}

// download is a body that fails when nothing has come for the idle time.
type download struct {
	ctx   context.Context // it is the transfer's own, ended by watch
	body  io.ReadCloser
	watch *watchdog
	idle  time.Duration
}

func (d *download) Read(p []byte) (int, error) {
	d.watch.progress(d.idle)
	n, err := d.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = failure(d.ctx, err)
	}
	return n, err
}

func (d *download) Close() error {
	d.watch.stop()
	return d.body.Close()
}

// watchdog ends a transfer's context with errSlow when it makes no progress.
type watchdog struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func watch(ctx context.Context, first time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watchdog{timer: time.AfterFunc(first, func() { cancel(errSlow) }), cancel: cancel}
}

// progress gives the transfer another while.
func (w *watchdog) progress(next time.Duration) {
	if w.timer.Stop() { // one that has barked stays so
		w.timer.Reset(next)
	}
}

// stop releases the context; what is still going on in it ends.
func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}
