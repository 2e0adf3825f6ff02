package localidp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dexidp/dex/connector"
	"github.com/dexidp/dex/storage"
	"golang.org/x/crypto/bcrypt"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
	"lodge/internal/fault"
	"lodge/internal/identity"
)

func newProvider(t testing.TB, db *database.DB) *Provider {
	t.Helper()
	p, err := New(t.Context(), Config{PublicURL: "http://lodge.test", HashCost: bcrypt.MinCost}, db, identity.NewLimiter(time.Now), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUsers(t *testing.T) {
	t.Parallel()
	p := newProvider(t, databasetest.SQLite(t))
	ctx := t.Context()
	alice, err := p.AddUser(ctx, " Alice ", "Alice@Example.org", "correct horse battery")
	if err != nil || alice.Name != "alice" || alice.Email != "alice@example.org" || alice.Subject == "" {
		t.Fatalf("got %+v, %v", alice, err)
	}
	bob, err := p.AddUser(ctx, "bob", "", "correct horse battery")
	if err != nil || bob.Email != "bob@local" {
		t.Fatalf("got %+v, %v", bob, err)
	}
	login := func(name, password string) (string, bool) {
		t.Helper()
		who, ok, err := p.accounts.Login(context.WithoutCancel(ctx), connector.Scopes{}, name, password)
		if err != nil {
			t.Fatal(err)
		}
		return who.PreferredUsername, ok
	}
	for _, name := range []string{"alice", "ALICE", "alice@example.org", "Alice@Example.org"} {
		if who, ok := login(name, "correct horse battery"); !ok || who != "alice" {
			t.Errorf("%q logs in as %q, %v", name, who, ok)
		}
	}
	if who, ok := login("bob", "correct horse battery"); !ok || who != "bob" {
		t.Errorf("bob logs in as %q, %v", who, ok)
	}
	for _, name := range []string{"nobody", "", "alice@local", "bob@example.org", "alice\x00", "%", "ali_e"} {
		if _, ok := login(name, "correct horse battery"); ok {
			t.Errorf("%q logs in", name)
		}
	}
	if _, ok := login("alice", "wrong"); ok {
		t.Error("a wrong password logs in")
	}
	// A reset and a refresh token.
	offline := storage.OfflineSessions{UserID: p.userID(t, "alice"), ConnID: "local", Refresh: map[string]*storage.RefreshTokenRef{}}
	refresh := storage.RefreshToken{ID: "r", Token: "t", ClientID: CLIClient, Claims: storage.Claims{UserID: offline.UserID}}
	if err := errors.Join(p.store.CreateOfflineSessions(ctx, offline), p.store.CreateRefresh(ctx, refresh)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetPassword(ctx, "alice", "another good passphrase"); err != nil {
		t.Fatal(err)
	}
	if _, ok := login("alice", "correct horse battery"); ok {
		t.Error("the old password logs in")
	}
	if _, ok := login("alice", "another good passphrase"); !ok {
		t.Error("the new password does not")
	}
	if _, err := p.store.GetRefresh(ctx, "r"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the refresh token outlived the password: %v", err)
	}
	if u, err := p.DisableUser(ctx, "alice@example.org", true); err != nil || !u.Disabled {
		t.Fatal(u, err)
	}
	if _, ok := login("alice", "another good passphrase"); ok {
		t.Error("a disabled account logs in")
	}
	if _, err := p.DisableUser(ctx, "alice", false); err != nil {
		t.Fatal(err)
	}
	if _, ok := login("alice", "another good passphrase"); !ok {
		t.Error("an account that is enabled again does not log in")
	}
	users, err := p.ListUsers(ctx)
	if err != nil || len(users) != 2 || users[0].Name != "alice" || users[1].Name != "bob" {
		t.Errorf("got %+v, %v", users, err)
	}
	for name, err := range map[string]error{
		"name taken":  second(p.AddUser(ctx, "ALICE", "", "correct horse battery")),
		"email taken": second(p.AddUser(ctx, "carol", "alice@example.org", "correct horse battery")),
	} {
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if users, _ := p.ListUsers(ctx); len(users) != 2 {
		t.Error("a refused user was half added")
	}
	if err := second(p.SetPassword(ctx, "nobody", "correct horse battery")); !fault.Is(err, fault.Missing) {
		t.Errorf("got %v", err)
	}
	for _, c := range [][3]string{
		{"", "", "correct horse battery"},
		{"a b", "", "correct horse battery"},
		{"a|b", "", "correct horse battery"},
		{strings.Repeat("a", 65), "", "correct horse battery"},
		{"dave", "no address", "correct horse battery"},
		{"dave", "bob@local", "correct horse battery"},
		{"dave", "a@b\nc", "correct horse battery"},
		{"dave", "", "short"},
		{"dave", "", "dave-is-a-good-boy"},
		{"dave", "", strings.Repeat("x", 73)},
		{"dave", "", "xxxxxxxxxxxxxx"},
		{"dave", "", "with a zero\x00byte"},
	} {
		if err := second(p.AddUser(ctx, c[0], c[1], c[2])); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", c, err)
		} else if strings.Contains(err.Error(), c[2]) {
			t.Error("the error quotes the password")
		}
	}
}

func second[T any](_ T, err error) error { return err }

func (p *Provider) account(t testing.TB, name string) account {
	t.Helper()
	a, err := p.accounts.find(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (p *Provider) userID(t testing.TB, name string) string { return p.account(t, name).UserID }

func (p *Provider) hashOf(t testing.TB, name string) []byte { return p.account(t, name).Hash }

func TestEnsureAdmin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		p := newProvider(t, db)
		if who, err := p.AdminIdentity(t.Context()); who != "" || err != nil {
			t.Errorf("before: %q, %v", who, err)
		}
		var all sync.WaitGroup
		passwords := make(chan string, 3)
		for range 3 {
			all.Go(func() {
				password, created, err := p.EnsureAdmin(t.Context())
				if err != nil {
					t.Error(err)
				}
				if created {
					passwords <- password
				}
			})
		}
		all.Wait()
		if len(passwords) != 1 {
			t.Fatalf("%d admins were made", len(passwords))
		}
		// The class "weak generated secret".
		password := <-passwords
		if len(password) != 26 || weak(password, AdminName) != "" || password == generatePassword() {
			t.Errorf("the password is %q", password)
		}
		if again, created, err := p.EnsureAdmin(t.Context()); again != "" || created || err != nil {
			t.Errorf("again: %v, %v", created, err)
		}
		who, err := p.AdminIdentity(t.Context())
		users, _ := p.ListUsers(t.Context())
		if err != nil || len(users) != 1 || who != UserIssuer+"|"+users[0].Subject {
			t.Errorf("got %q, %v", who, err)
		}
	})
}

// TestAccountProbing: whether an account exists can be told neither by the answer nor by the time.
func TestAccountProbing(t *testing.T) {
	t.Parallel()
	p := newProvider(t, databasetest.SQLite(t))
	if _, err := p.AddUser(t.Context(), "alice", "", "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddUser(t.Context(), "carol", "", "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DisableUser(t.Context(), "carol", true); err != nil {
		t.Fatal(err)
	}
	// Nobody's hash costs what everybody's costs: the comparison is all that takes time.
	for _, hashed := range [][]byte{p.accounts.hashOfNobody(), p.hashOf(t, "alice"), p.hashOf(t, "carol")} {
		if cost, err := bcrypt.Cost(hashed); err != nil || cost != p.accounts.cost {
			t.Errorf("a comparison of cost %d, %v", cost, err)
		}
	}
	for _, name := range []string{"alice", "carol", "nobody", "nobody@example.org", ""} {
		if _, ok, err := p.accounts.Login(t.Context(), connector.Scopes{}, name, "wrong"); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if strong := newDefault(t, p.db); strong.accounts.cost != 11 {
		t.Errorf("the cost is %d unless configured", strong.accounts.cost)
	}
}

func newDefault(t testing.TB, db *database.DB) *Provider {
	t.Helper()
	p, err := New(t.Context(), Config{PublicURL: "http://lodge.test"}, db, identity.NewLimiter(time.Now), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestQuietLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(quietHandler{slog.NewTextHandler(&out, nil)})
	log.Error("failed login attempt: Invalid credentials.", "user", "my-password", "err", errors.New(strings.Repeat("x", 1000)))
	log.Info("login successful", "username", "alice")
	got := out.String()
	if strings.Contains(got, "my-password") || strings.Contains(got, "alice") || !strings.Contains(got, "level=WARN") || len(got) > 500 {
		t.Errorf("the log says %s", got)
	}
}

func TestStartIsQuick(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	newProvider(t, db) // the first start makes the key
	best := time.Hour
	for range 5 {
		began := time.Now()
		newProvider(t, db)
		best = min(best, time.Since(began))
	}
	if best > 300*time.Millisecond {
		t.Errorf("starts in %v", best)
	}
	t.Logf("starts in %v", best)
}
