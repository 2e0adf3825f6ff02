package apps

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"lodge/internal/httpapi"
)

// streamEvents tells how an app session goes on, until it is ready, failed or stopped. A reader that
// comes back is told what it missed.
func (s *Service) streamEvents(w http.ResponseWriter, r *http.Request, row Session) error {
	return s.streamTold(w, r, row, func(p Progress) any { return p })
}

// streamTold is streamEvents for clients that know the events in other words.
func (s *Service) streamTold(w http.ResponseWriter, r *http.Request, row Session, tell func(Progress) any) error {
	ctx := r.Context()
	stream, err := httpapi.Events(w, r)
	if err != nil {
		return err
	}
	defer stream.Close()
	last, err := strconv.ParseInt(stream.LastEventID(), 10, 64)
	if err != nil || last > row.Version {
		last = 0 // another start's, or none
	}
	changed, end := s.news.listen(row.ID)
	defer end()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	place := 0
	for {
		// First the row, then the events, so that what ends the stream has been told.
		if row, err = s.store.session(ctx, s.store.db, row.ID); err != nil {
			return missing(err)
		}
		events, err := s.store.events(ctx, s.store.db, row.ID, last)
		if err != nil {
			return err
		}
		for _, e := range events {
			last = e.seq
			if err := stream.Send("", strconv.FormatInt(e.seq, 10), tell(e.body)); err != nil {
				return nil // the reader went away
			}
		}
		if row.State.settled() {
			return nil
		}
		if err := s.tellPlace(ctx, stream, row, &place, tell); err != nil {
			return nil // the reader went away
		}
		select {
		case <-stream.Done():
			return nil
		case <-changed:
		case <-poll.C:
		}
	}
}

// tellPlace tells somebody who waits when their place in the queue has changed. It is no event that
// is kept: the place is another one by the time somebody comes back.
func (s *Service) tellPlace(ctx context.Context, stream *httpapi.EventStream, row Session, told *int, tell func(Progress) any) error {
	if row.State != Queued {
		return nil
	}
	place, err := s.position(ctx, row.ID)
	if err != nil || place == 0 || place == *told {
		return nil //nolint:nilerr // it is asked again in a moment
	}
	*told = place
	p := s.progressOf(row)
	p.Position = place
	return stream.Send("", "", tell(p))
}
