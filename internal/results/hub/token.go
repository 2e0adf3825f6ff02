package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// grant is how we log in: the bodies of the two requests for a token.
type grant struct {
	login func() map[string]string
	// refresh is nil when the flow knows no refresh tokens.
	refresh func(token string) map[string]string
}

func newGrant(cfg Config) (grant, error) {
	need := func(what string, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("the hub's login flow %q needs %s", cfg.Flow, what)
	}
	switch cfg.Flow {
	case "robot":
		return grant{login: func() map[string]string {
			return map[string]string{"grant_type": "robot_credentials", "id": cfg.ID, "secret": cfg.Secret.Reveal()}
		}}, need("an id and a secret", cfg.ID != "" && cfg.Secret != "")
	case "client":
		return grant{login: func() map[string]string {
			return map[string]string{"grant_type": "client_credentials", "client_id": cfg.ID, "client_secret": cfg.Secret.Reveal()}
		}}, need("an id and a secret", cfg.ID != "" && cfg.Secret != "")
	case "password":
		return grant{
			login: func() map[string]string {
				return map[string]string{"grant_type": "password", "username": cfg.Username, "password": cfg.Password.Reveal()}
			},
			refresh: func(token string) map[string]string {
				return map[string]string{"grant_type": "refresh_token", "refresh_token": token}
			},
		}, need("a user name and a password", cfg.Username != "" && cfg.Password != "")
	default:
		return grant{}, fmt.Errorf("the hub's login flow is robot, password or client, not %q", cfg.Flow)
	}
}

// session is a token and how long to use it.
type session struct {
	access, refresh string
	renew, expires  time.Time
}

// tokens holds the one token that all calls share.
type tokens struct {
	now     func() time.Time
	login   func(ctx context.Context, refresh string) (session, error)
	timeout time.Duration

	flight  singleflight.Group
	mu      sync.Mutex
	current session
}

// get gives a valid token other than the refused one, logging in if need be. However many ask,
// one logs in and the others wait; none of them can abort it for the rest.
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	if s := t.session(); s.access != "" && s.access != refused && t.now().Before(s.renew) {
		return s.access, nil
	}
	done := t.flight.DoChan("", func() (any, error) {
		s := t.session()
		known := s.access != "" && s.access != refused
		if known && t.now().Before(s.renew) {
			return s.access, nil // whoever flew before us has brought it
		}
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), t.timeout, errSlow)
		defer cancel()
		refresh := s.refresh
		if !known {
			refresh = "" // what belongs to a refused token will be refused too
		}
		next, err := t.login(ctx, refresh)
		if err != nil && refresh != "" {
			next, err = t.login(ctx, "")
		}
		if err != nil {
			if known && t.now().Before(s.expires) {
				return s.access, nil // it still holds; the next call tries again
			}
			return "", err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.current = next
		return next.access, nil
	})
	select {
	case r := <-done:
		token, _ := r.Val.(string)
		return token, r.Err
	case <-ctx.Done():
		return "", failure(ctx, context.Cause(ctx))
	}
}

func (t *tokens) session() session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// loginAt gives the function that asks the auth service for a token.
func (c *Client) loginAt(address string, g grant, now func() time.Time) func(context.Context, string) (session, error) {
	return func(ctx context.Context, refresh string) (session, error) {
		form := g.login()
		if refresh != "" && g.refresh != nil {
			form = g.refresh(refresh)
		}
		body, err := json.Marshal(form)
		if err != nil {
			return session{}, fmt.Errorf("write the hub login: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return session{}, fmt.Errorf("make the hub login: %w", err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		asked := now()
		resp, err := c.http.Do(req)
		if err != nil {
			return session{}, failure(ctx, err)
		}
		defer drain(resp)
		if resp.StatusCode != http.StatusOK {
			r := refused(resp)
			r.message = "" // it may repeat what we sent
			return session{}, r.fault()
		}
		answer, err := readRecord(ctx, resp)
		if err != nil {
			return session{}, err
		}
		return newSession(answer, asked)
	}
}

func newSession(answer record, asked time.Time) (session, error) {
	s := session{access: answer.text("access_token"), refresh: answer.text("refresh_token")}
	if s.access == "" {
		return s, unexpected(errors.New("the token answer has no access_token"))
	}
	life := time.Duration(answer.number("expires_in", 300)) * time.Second
	if life <= 0 || life > 30*24*time.Hour {
		life = 5 * time.Minute
	}
	s.expires = asked.Add(life)
	s.renew = s.expires.Add(-min(30*time.Second, life/4))
	return s, nil
}

// drop forgets the token if it is still the one in use.
func (t *tokens) drop(refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.access == refused {
		t.current = session{}
	}
}
