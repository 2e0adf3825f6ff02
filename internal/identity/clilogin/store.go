package clilogin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lodge/internal/fault"
	"lodge/internal/secret"
)

// fileName is the file in the person's config folder.
const fileName = "credentials.json"

// renewBefore is how long before its end a token is renewed: it has to arrive still.
const renewBefore = 30 * time.Second

// Store keeps credentials in a folder of the person's own, one login a server.
type Store struct {
	// Dir is the folder, such as ~/.config/lodge.
	Dir string
	// Client makes the requests; http.DefaultClient when nil.
	Client *http.Client
	Now    func() time.Time
}

// saved is how credentials stand in the file: in the clear, which is why nobody else may read it.
type saved struct {
	Issuer   string    `json:"issuer"`
	ClientID string    `json:"client_id"`
	Token    string    `json:"token"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Expires  time.Time `json:"expires"`
}

// file is the whole file. Default is the server of the last login.
type file struct {
	Default string           `json:"default"`
	Servers map[string]saved `json:"servers"`
}

// Save keeps the credentials of a login, in place of earlier ones for the same server.
func (s *Store) Save(c Credentials) error { return s.keep(c, true) }

func (s *Store) keep(c Credentials, login bool) error {
	f, err := s.read()
	if err != nil {
		return err
	}
	if login {
		f.Default = c.Server
	}
	f.Servers[c.Server] = saved{Issuer: c.Issuer, ClientID: c.ClientID, Token: c.Token.Reveal(), Refresh: c.Refresh.Reveal(), Expires: c.Expires}
	return s.write(f)
}

// Load gives the credentials for a server; for an empty one, those of the last login. None is
// fault.Unauthenticated.
func (s *Store) Load(server string) (Credentials, error) {
	f, err := s.read()
	if err != nil {
		return Credentials{}, err
	}
	if server = strings.TrimRight(server, "/"); server == "" {
		server = f.Default
	}
	c, there := f.Servers[server]
	if !there {
		return Credentials{}, fault.New(fault.Unauthenticated, "you are not logged in; run `lodge login`, or set LODGE_SERVER and LODGE_TOKEN")
	}
	return Credentials{
		Server: server, Issuer: c.Issuer, ClientID: c.ClientID, Token: secret.String(c.Token), Refresh: secret.String(c.Refresh), Expires: c.Expires,
	}, nil
}

// Token gives credentials that are good now for a server, or for that of the last login, and
// renews and saves them when they are not.
func (s *Store) Token(ctx context.Context, server string) (Credentials, error) {
	c, err := s.Load(server)
	if err != nil || s.Now().Add(renewBefore).Before(c.Expires) {
		return c, err
	}
	fresh, err := Renew(ctx, c, s.Client)
	if err != nil {
		return Credentials{}, err
	}
	return fresh, s.keep(fresh, false)
}

// Forget removes the credentials for a server; for an empty one, those of the last login.
func (s *Store) Forget(server string) error {
	f, err := s.read()
	if err != nil {
		return err
	}
	if server = strings.TrimRight(server, "/"); server == "" {
		server = f.Default
	}
	delete(f.Servers, server)
	if f.Default == server {
		f.Default = ""
	}
	return s.write(f)
}

func (s *Store) read() (file, error) {
	path := filepath.Join(s.Dir, fileName)
	f := file{Servers: map[string]saved{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read the saved login: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return f, fault.New(fault.Denied, "others can read %s; run chmod 600 on it, and log in again if they may have", path)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("read the saved login: %w", err)
	}
	if err := json.Unmarshal(body, &f); err != nil {
		return f, fault.New(fault.Invalid, "%s cannot be read; remove it and log in again", path)
	}
	if f.Servers == nil {
		f.Servers = map[string]saved{}
	}
	return f, nil
}

// write puts the file in place in one step, readable by its owner alone from the first moment.
func (s *Store) write(f file) error {
	body, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	tmp, err := os.CreateTemp(s.Dir, fileName+".*") // which makes files of mode 0600
	if err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(append(body, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	if err := os.Rename(tmp.Name(), filepath.Join(s.Dir, fileName)); err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	return nil
}
