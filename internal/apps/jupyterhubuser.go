package apps

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/fault"
	"lodge/internal/httpapi"
	"lodge/internal/identity"
)

// hubPerson is somebody as the JupyterHub face names them: by what stands for them in host names,
// which is one person's for ever.
type hubPerson struct {
	id, name string
	user     access.User
}

// everybody lists users, however many there are.
func (s *Service) everybody(ctx context.Context, f access.UserFilter) (all []access.User, err error) {
	for f.Limit = 1000; ; f.Offset += f.Limit {
		some, total, err := s.access.Users(ctx, f)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(some) == 0 || int64(len(all)) >= total {
			return all, nil
		}
	}
}

// entered gives a user the name that they go by, at the first sight.
func (s *Service) entered(ctx context.Context, u access.User) (hubPerson, error) {
	owner, err := s.store.ensureOwner(ctx, Owner{ID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Name: u.Name, Email: u.Email}, s.now())
	return hubPerson{u.ID, owner.Slug, u}, err
}

// enterAll is entered for many users, in place: those who are known are looked up together.
func (s *Service) enterAll(ctx context.Context, people []hubPerson) error {
	ids := make([]string, len(people))
	for i, p := range people {
		ids[i] = p.id
	}
	known, err := s.store.owners(ctx, s.store.db, ids)
	if err != nil {
		return err
	}
	for i, p := range people {
		if o, there := known[p.id]; there {
			people[i].name = o.Slug
		} else if people[i], err = s.entered(ctx, p.user); err != nil {
			return err
		}
	}
	return nil
}

// hubPersonOf is the person with an id. The holder of a service token is one too, if it has apps.
func (s *Service) hubPersonOf(ctx context.Context, id string) (hubPerson, error) {
	u, err := s.access.User(ctx, id)
	if err == nil {
		return s.entered(ctx, u)
	}
	if !fault.Is(err, fault.Missing) {
		return hubPerson{}, err
	}
	owner, err := s.store.owner(ctx, s.store.db, id)
	if err == nil && !strings.HasPrefix(owner.Subject, "token:") {
		return hubPerson{}, errHidden // who was deleted
	}
	return hubPerson{id: id, name: owner.Slug}, missing(err)
}

// hubPerson finds somebody by the name that they go by, or else the one whose login is so called. Who
// that is, is known to themselves and to whoever has to do with others' apps or with people.
func (s *Service) hubPerson(ctx context.Context, name string) (hubPerson, error) {
	who, err := s.named(ctx, name)
	if err != nil {
		return who, err
	}
	if owner, _ := ownerOf(access.CallerFrom(ctx)); owner.ID != "" && owner.ID == who.id {
		return who, nil
	}
	for _, action := range []access.Action{"users.read", ReadAny, LaunchAny, StopAny} {
		if groups, all, err := s.access.Groups(ctx, action); err != nil || all || len(groups) > 0 {
			return who, err
		}
	}
	s.refused(ctx, ReadAny, access.Site, "person "+name, access.Decision{}, errHidden)
	return hubPerson{}, errHidden
}

func (s *Service) named(ctx context.Context, name string) (hubPerson, error) {
	owner, err := s.store.ownerBySlug(ctx, s.store.db, name)
	if err == nil {
		return s.hubPersonOf(ctx, owner.ID)
	}
	if !errors.Is(err, errNoRow) {
		return hubPerson{}, err
	}
	users, _, err := s.access.Users(ctx, access.UserFilter{Name: name, Limit: 10})
	if err != nil {
		return hubPerson{}, err
	}
	if len(users) > 1 {
		// Names of Lodge's own accounts are nobody else's.
		users = slices.DeleteFunc(users, func(u access.User) bool { return u.Issuer != s.cfg.AccountIssuer })
	}
	if len(users) != 1 || name == "" {
		return hubPerson{}, errHidden
	}
	return s.entered(ctx, users[0])
}

// visible lists the app sessions of others that the caller may see, by owner. Whoever may see none
// anywhere is refused.
func (s *Service) visible(ctx context.Context) (map[string][]Session, error) {
	groups, all, err := s.access.Groups(ctx, ReadAny)
	if err != nil {
		return nil, err
	}
	f := filter{}
	if !all {
		if f.apps, err = s.appsOf(ctx, groups); err != nil {
			return nil, err
		}
		if len(f.apps) == 0 {
			return map[string][]Session{}, nil
		}
	}
	rows, err := s.store.sessions(ctx, s.store.db, f)
	by := map[string][]Session{}
	for _, row := range rows {
		by[row.OwnerID] = append(by[row.OwnerID], row)
	}
	return by, err
}

func (s *Service) handleHubUsers(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[hubUsersQuery](r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	_, mayPeople := s.access.Require(ctx, "users.read", access.Site)
	groups, all, err := s.access.Groups(ctx, ReadAny)
	if err != nil {
		return err
	}
	if mayPeople != nil && !all && len(groups) == 0 {
		d, err := s.access.Require(ctx, ReadAny, DefaultGroup)
		s.refused(ctx, ReadAny, DefaultGroup, "people", d, err)
		return err
	}
	rows, err := s.visible(ctx)
	if err != nil {
		return err
	}
	people, err := s.hubPeople(ctx, rows, mayPeople == nil)
	if err != nil {
		return err
	}
	people = slices.DeleteFunc(people, func(p hubPerson) bool {
		return !inHubState(q.State, rows[p.id]) || !strings.Contains(p.name, q.Filter) && !strings.Contains(p.user.Name, q.Filter)
	})
	sortHub(people, q.Sort, rows)
	page := cut(q.hubPageQuery, people)
	if err := s.enterAll(ctx, page); err != nil {
		return err
	}
	out := []HubUser{}
	for _, p := range page {
		out = append(out, s.hubUser(ctx, p, rows[p.id], q.Stopped))
	}
	return s.answerHubList(w, r, q.hubPageQuery, out, len(people))
}

// hubPeople are the owners of the app sessions, and everybody else if the caller may see people.
// Whoever has no name of their own yet has their login's until they are shown.
func (s *Service) hubPeople(ctx context.Context, rows map[string][]Session, all bool) ([]hubPerson, error) {
	var people []hubPerson
	seen := map[string]bool{}
	if all {
		users, err := s.everybody(ctx, access.UserFilter{})
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			seen[u.ID] = true
			people = append(people, hubPerson{u.ID, u.Name, u})
		}
	}
	for id := range rows {
		if seen[id] {
			continue
		}
		who, err := s.hubPersonOf(ctx, id)
		if fault.Is(err, fault.Missing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		people = append(people, who)
	}
	return people, nil
}

// inHubState says whether somebody with these app sessions is to be listed.
func inHubState(wanted string, rows []Session) bool {
	active, ready := false, false
	for _, row := range rows {
		ready = ready || row.State == Running
		active = active || row.State == Running || hubPending(row.State) != nil
	}
	switch wanted {
	case "active":
		return active
	case "ready":
		return ready
	case "inactive":
		return !active
	}
	return true
}

func sortHub(people []hubPerson, by string, rows map[string][]Session) {
	key, down := strings.CutPrefix(by, "-")
	last := func(p hubPerson) (at time.Time) {
		at = p.user.Seen
		for _, row := range rows[p.id] {
			if row.Active.After(at) {
				at = row.Active
			}
		}
		return at
	}
	slices.SortFunc(people, func(a, b hubPerson) int {
		order := 0
		switch key {
		case "name":
			order = strings.Compare(a.name, b.name)
		case "last_activity":
			order = last(a).Compare(last(b))
		default:
			order = a.user.Created.Compare(b.user.Created)
		}
		if order = cmp.Or(order, strings.Compare(a.id, b.id)); down {
			return -order
		}
		return order
	})
}

func (s *Service) handleHubUser(w http.ResponseWriter, r *http.Request) error {
	q, err := httpapi.Decode[hubUserPath](r)
	if err != nil {
		return err
	}
	who, err := s.hubPerson(r.Context(), q.Name)
	if err != nil {
		return err
	}
	return s.answerHubUser(w, r, http.StatusOK, who, q.Stopped)
}

func (s *Service) answerHubUser(w http.ResponseWriter, r *http.Request, status int, who hubPerson, stopped bool) error {
	rows, err := s.store.sessions(r.Context(), s.store.db, filter{owner: who.id})
	if err != nil {
		return err
	}
	if owner, _ := ownerOf(access.CallerFrom(r.Context())); owner.ID != who.id {
		rows = slices.DeleteFunc(rows, func(row Session) bool { return !s.allowed(r.Context(), ReadAny, row.Entry.Group) })
	}
	return httpapi.JSON(w, status, s.hubUser(r.Context(), who, rows, stopped))
}

// mayPeople refuses whoever may not change people, before anything is looked at.
func (s *Service) mayPeople(ctx context.Context) error {
	d, err := s.access.Require(ctx, "users.write", access.Site)
	if err != nil {
		s.refused(ctx, "users.write", access.Site, "people", d, err)
	}
	return err
}

// newHubPerson makes somebody known before their first login; nothing is changed if they are.
func (s *Service) newHubPerson(ctx context.Context, name string, admin bool) (hubPerson, bool, error) {
	if who, err := s.named(ctx, name); err == nil {
		return who, false, nil
	} else if !fault.Is(err, fault.Missing) {
		return who, false, err
	}
	if s.addPerson == nil {
		return hubPerson{}, false, fault.New(fault.Invalid, "people come to be at their first login")
	}
	u, err := s.addPerson(ctx, name, admin)
	if err != nil {
		return hubPerson{}, false, err
	}
	who, err := s.entered(ctx, u)
	return who, true, err
}

func (s *Service) handleHubNewUsers(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayPeople(r.Context()); err != nil {
		return err
	}
	var body struct {
		Usernames []string `json:"usernames"`
		Admin     bool     `json:"admin"`
	}
	if err := hubBody(w, r, &body); err != nil {
		return err
	}
	if len(body.Usernames) == 0 || len(body.Usernames) > maxHubLimit {
		return badHub("Must specify at least one user to create")
	}
	made := []HubUser{}
	for _, name := range body.Usernames {
		who, fresh, err := s.newHubPerson(r.Context(), name, body.Admin)
		if err != nil {
			return err
		}
		if fresh {
			made = append(made, s.hubUser(r.Context(), who, nil, false))
		}
	}
	if len(made) == 0 {
		return fault.New(fault.Conflict, "All %d users already exist", len(body.Usernames))
	}
	return httpapi.JSON(w, http.StatusCreated, made)
}

func (s *Service) handleHubNewUser(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayPeople(r.Context()); err != nil {
		return err
	}
	var body struct {
		Admin bool `json:"admin"`
	}
	if err := hubBody(w, r, &body); err != nil {
		return err
	}
	who, fresh, err := s.newHubPerson(r.Context(), r.PathValue("name"), body.Admin)
	if err != nil {
		return err
	}
	if !fresh {
		return fault.New(fault.Conflict, "User %s already exists", r.PathValue("name"))
	}
	return s.answerHubUser(w, r, http.StatusCreated, who, false)
}

func (s *Service) handleHubChangeUser(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayPeople(r.Context()); err != nil {
		return err
	}
	who, err := s.hubPerson(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	var body struct {
		Name  *string `json:"name"`
		Admin *bool   `json:"admin"`
	}
	switch err := hubBody(w, r, &body); {
	case err != nil:
		return err
	case body.Name != nil && *body.Name != who.name:
		return badHub("names are the login's to give")
	case body.Admin == nil && body.Name == nil:
		return badHub("name or admin is required")
	}
	if who.user, err = s.access.ChangeUser(r.Context(), who.id, access.UserChange{Admin: body.Admin}); err != nil {
		return err
	}
	return s.answerHubUser(w, r, http.StatusOK, who, false)
}

func (s *Service) handleHubDeleteUser(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := s.mayPeople(ctx); err != nil {
		return err
	}
	who, err := s.hubPerson(ctx, r.PathValue("name"))
	if err != nil {
		return err
	}
	if owner, _ := ownerOf(access.CallerFrom(ctx)); owner.ID == who.id {
		return badHub("Cannot delete yourself!")
	}
	rows, err := s.store.sessions(ctx, s.store.db, filter{owner: who.id, states: []State{Queued, Starting, Running, Stopping}})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row, err = s.StopSession(ctx, row.ID, false); err != nil {
			return err
		}
		row, err = s.waitFor(ctx, row.ID, hubPatience, func(now Session) bool { return now.State != Stopping })
		if err != nil {
			return missing(err)
		}
		if row.State == Stopping {
			return badHub(who.name + "'s server is still being stopped, please try again later")
		}
	}
	if err := s.access.DeleteUser(ctx, who.id); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}

// HubToken is a service token. Its secret is shown once.
type HubToken struct {
	Kind         string     `json:"kind" enum:"api_token"`
	ID           string     `json:"id"`
	User         string     `json:"user"`
	Roles        []string   `json:"roles" nullable:"false"`
	Scopes       []string   `json:"scopes" nullable:"false" doc:"The roles, by which a token's rights are given here"`
	Note         string     `json:"note"`
	Created      time.Time  `json:"created"`
	ExpiresAt    *time.Time `json:"expires_at"`
	LastActivity *time.Time `json:"last_activity"`
	SessionID    *string    `json:"session_id"`
	Token        string     `json:"token,omitempty"`
}

// HubTokens lists tokens.
type HubTokens struct {
	Items []HubToken `json:"api_tokens" nullable:"false"`
}

func hubToken(who hubPerson, t identity.Token) HubToken {
	out := HubToken{
		Kind: "api_token", ID: t.ID, User: who.name, Roles: []string{}, Scopes: []string{}, Note: t.Name, Created: t.Created, ExpiresAt: t.Expires, LastActivity: t.Used,
	}
	for _, r := range t.Roles {
		out.Scopes = append(out.Scopes, string(r))
	}
	return out
}

// hubOwn is the caller, if the address names them: tokens are everybody's own.
func (s *Service) hubOwn(r *http.Request) (hubPerson, error) {
	who, err := s.named(r.Context(), r.PathValue("name"))
	if c := access.CallerFrom(r.Context()); err == nil && (c.UserID == "" || c.UserID != who.id) {
		return hubPerson{}, errHidden
	}
	return who, err
}

// hubOwnTokens are the caller's that are still good.
func (s *Service) hubOwnTokens(r *http.Request) ([]HubToken, error) {
	who, err := s.hubOwn(r)
	if err != nil {
		return nil, err
	}
	tokens, _, err := s.identity.Tokens(r.Context(), false, 1000, 0)
	list := []HubToken{}
	for _, t := range tokens {
		if t.Revoked == nil {
			list = append(list, hubToken(who, t))
		}
	}
	return list, err
}

func (s *Service) handleHubTokens(w http.ResponseWriter, r *http.Request) error {
	list, err := s.hubOwnTokens(r)
	if err != nil {
		return err
	}
	return httpapi.JSON(w, http.StatusOK, HubTokens{list})
}

func (s *Service) handleHubToken(w http.ResponseWriter, r *http.Request) error {
	list, err := s.hubOwnTokens(r)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.ID == r.PathValue("token_id") {
			return httpapi.JSON(w, http.StatusOK, t)
		}
	}
	return errHidden
}

func (s *Service) handleHubNewToken(w http.ResponseWriter, r *http.Request) error {
	who, err := s.hubOwn(r)
	if err != nil {
		return err
	}
	var body struct {
		Seconds float64       `json:"expires_in"`
		Note    string        `json:"note"`
		Roles   []access.Role `json:"roles"`
		Scopes  []access.Role `json:"scopes"`
	}
	if err := hubBody(w, r, &body); err != nil {
		return err
	}
	if body.Seconds < 0 || body.Seconds > 1e9 {
		return badHub("expires_in must be a number of seconds")
	}
	t, secret, err := s.identity.CreateToken(r.Context(), identity.TokenRequest{
		Name: cmp.Or(body.Note, "made by the JupyterHub API"), Roles: slices.Concat(body.Roles, body.Scopes), TTL: time.Duration(body.Seconds * float64(time.Second)),
	})
	if err != nil {
		return err
	}
	out := hubToken(who, t)
	out.Token = secret.Reveal()
	w.Header().Set("Cache-Control", "no-store")
	return httpapi.JSON(w, http.StatusCreated, out)
}

func (s *Service) handleHubRevoke(w http.ResponseWriter, r *http.Request) error {
	list, err := s.hubOwnTokens(r)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(t HubToken) bool { return t.ID == r.PathValue("token_id") }) {
		return errHidden
	}
	if err := s.identity.RevokeToken(r.Context(), r.PathValue("token_id")); err != nil {
		return err
	}
	return httpapi.NoContent(w)
}
