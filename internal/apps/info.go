package apps

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"lodge/internal/access"
	"lodge/internal/httpapi"
)

// SessionInfo is an app session as the API shows it.
type SessionInfo struct {
	ID             string         `json:"id"`
	App            AppID          `json:"app"`
	AppName        string         `json:"app_name"`
	Name           string         `json:"name" doc:"Of a named app session; empty for the usual one"`
	User           UserInfo       `json:"user"`
	State          State          `json:"state" enum:"queued,starting,ready,stopping,stopped,failed"`
	Cause          Cause          `json:"cause,omitempty" doc:"Why it failed or was stopped, as a code"`
	Message        string         `json:"message,omitempty"`
	Advice         string         `json:"advice,omitempty" doc:"What can be done"`
	Driver         string         `json:"driver"`
	URL            string         `json:"url" doc:"Where to open it"`
	Options        map[string]any `json:"options,omitempty"`
	CreatedAt      time.Time      `json:"created_at"`
	QueuedPosition int            `json:"queued_position,omitempty"`
	QueuedAt       time.Time      `json:"queued_at"`
	StartedAt      *time.Time     `json:"started_at"`
	ReadyAt        *time.Time     `json:"ready_at"`
	EndedAt        *time.Time     `json:"ended_at"`
	LastActivity   *time.Time     `json:"last_activity"`
	ActivitySource string         `json:"activity_source,omitempty"`
	IdleTimeout    string         `json:"idle_timeout,omitempty"`
	ExpiresAt      *time.Time     `json:"expires_at"`
	ExpiresWhy     string         `json:"expires_why,omitempty" enum:"idle,lifetime,extended"`
	Extend         *ExtendInfo    `json:"extend,omitempty" doc:"How far its end can still be put off; missing if it does not end by itself"`
	Visitor        *VisitorInfo   `json:"visitor,omitempty" doc:"Who used it last of those whose it is not: by apps.open-any, which is recorded"`
	RestartNeeded  bool           `json:"restart_needed" doc:"The catalogue's entry has changed since"`
	Image          string         `json:"image,omitempty"`
	ImageDigest    string         `json:"image_digest,omitempty"`
	Resources      ResourceInfo   `json:"resources"`
	Progress       Progress       `json:"progress"`
	Exit           *Exit          `json:"exit,omitempty"`
	LogTail        string         `json:"log_tail,omitempty"`
	Address        string         `json:"address,omitempty" doc:"For whoever has apps.read-any"`
}

// UserInfo names the owner.
type UserInfo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// VisitorInfo is somebody who used another's app session.
type VisitorInfo struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// ResourceInfo is what an app session may use.
type ResourceInfo struct {
	CPU    float64 `json:"cpu"`
	Memory int64   `json:"memory_bytes" doc:"-1 for no limit"`
	GPU    int     `json:"gpu,omitempty"`
}

// ExtendInfo is how an owner may put off the end of an app session.
type ExtendInfo struct {
	Step int64 `json:"step_seconds" doc:"By how much at a time"`
	Left int64 `json:"left_seconds" doc:"By how much in all, from now on"`
	Soon bool  `json:"soon" doc:"It ends within the time of its warning"`
}

// AppInfo is an app of the catalogue as the API shows it.
type AppInfo struct {
	ID          AppID         `json:"id"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Icon        string        `json:"icon"`
	Group       access.Group  `json:"group"`
	Driver      string        `json:"driver"`
	Image       string        `json:"image,omitempty"`
	URL         string        `json:"url" doc:"Leads everybody to their own copy"`
	Options     []OptionInfo  `json:"options" nullable:"false"`
	Allow       AllowInfo     `json:"allow"`
	Resources   ResourceInfo  `json:"resources"`
	IdleTimeout string        `json:"idle_timeout" doc:"0s for never"`
	MaxLifetime string        `json:"max_lifetime" doc:"0s for no end"`
	Named       int           `json:"named" doc:"How many named app sessions a person may have besides the usual one"`
	ReadOnly    bool          `json:"read_only" doc:"It stands in the configuration"`
	CanLaunch   bool          `json:"can_launch"`
	WhyNot      string        `json:"why_not,omitempty" doc:"Why it cannot be launched now"`
	Sessions    []SessionInfo `json:"sessions" nullable:"false" doc:"The caller's own"`
	// Entry is the whole entry, for whoever may change it.
	Entry any `json:"entry,omitempty"`
}

// AllowInfo is who may use an app, besides administrators. People are counted, not named: whoever
// sees the app need not know them.
type AllowInfo struct {
	Roles    []access.Role `json:"roles" nullable:"false"`
	Deny     []access.Role `json:"deny_roles" nullable:"false"`
	People   int           `json:"people" doc:"How many people are named"`
	Everyone bool          `json:"everyone" doc:"Everybody who is logged in"`
}

// OptionInfo is a field of the launch form.
type OptionInfo struct {
	ID      string       `json:"id"`
	Label   string       `json:"label"`
	Type    string       `json:"type" enum:"choice,text,number,boolean"`
	Default any          `json:"default,omitempty"`
	Choices []ChoiceInfo `json:"choices,omitempty"`
	Pattern string       `json:"pattern,omitempty" doc:"What a text must fit as a whole"`
	Min     *float64     `json:"min,omitempty"`
	Max     *float64     `json:"max,omitempty"`
}

// ChoiceInfo is one of an option's choices with what it changes.
type ChoiceInfo struct {
	ID        string       `json:"id"`
	Resources ResourceInfo `json:"resources" doc:"0 leaves what the app has anyway"`
}

// AppList is the catalogue.
type AppList struct {
	Items []AppInfo `json:"items" nullable:"false"`
}

// StatsInfo is what an app session uses.
type StatsInfo struct {
	CPUSeconds  float64 `json:"cpu_seconds"`
	Memory      int64   `json:"memory_bytes"`
	MemoryLimit int64   `json:"memory_limit_bytes"`
	PIDs        int     `json:"pids"`
}

// Capacity is how much room there is.
type Capacity struct {
	Running      int   `json:"running"`
	Queued       int   `json:"queued"`
	Starting     int   `json:"starting"`
	StartsAtOnce int   `json:"starts_at_once"`
	Mine         int   `json:"mine"`
	PerUser      int   `json:"sessions_per_user" doc:"0 is no limit"`
	Sessions     int   `json:"sessions" doc:"0 is no limit"`
	CPU          int64 `json:"cpu_millis_used" doc:"Promised to one's own app sessions"`
	Memory       int64 `json:"memory_bytes_used" doc:"Promised to one's own app sessions"`
	CPULimit     int64 `json:"cpu_millis_per_user" doc:"0 is no limit"`
	MemoryLimit  int64 `json:"memory_bytes_per_user" doc:"0 is no limit"`
}

// DriverInfo is how a driver is.
type DriverInfo struct {
	Name  string `json:"name"`
	State string `json:"state" enum:"ok,down"`
	Error string `json:"error,omitempty"`
	Health
}

// DriverList lists the drivers.
type DriverList struct {
	Items []DriverInfo `json:"items" nullable:"false"`
}

// info shows a row to the caller.
func (s *Service) info(ctx context.Context, row Session) SessionInfo {
	out := SessionInfo{
		ID: row.ID, App: row.App, AppName: row.Entry.Name, Name: row.Name, User: UserInfo{row.OwnerID, row.By.Name}, State: row.State, Cause: row.Cause,
		Message: row.Message, Advice: row.Cause.advice(), Driver: row.Driver, URL: s.url(row), Options: row.Options, CreatedAt: row.Created, QueuedAt: row.Queued,
		StartedAt: optional(row.Started), ReadyAt: optional(row.Ready), EndedAt: optional(row.Ended), ActivitySource: row.ActiveBy,
		Image: row.Entry.Image, ImageDigest: row.ImageDigest, Resources: ResourceInfo{float64(row.CPU) / 1000, row.Memory, row.Entry.Resources.GPU}, Progress: s.progressOf(row), Exit: row.Exit,
	}
	active := row.Active
	if seen := s.tracker.of(row.ID).active.Load(); row.State == Running && seen > micros(active) {
		active = moment(seen) // not written down yet
	}
	out.LastActivity = optional(active)
	if idle := row.Entry.idleTimeout(); idle > 0 {
		out.IdleTimeout = idle.String()
	}
	if row.State == Running {
		c := row.clock()
		c.active = active
		end, why := c.expiry()
		out.ExpiresAt, out.ExpiresWhy = optional(end), string(why)
		if !end.IsZero() && row.Extended > 0 {
			out.ExpiresWhy = "extended"
		}
		if left := time.Duration(row.Entry.Extend.Max) - row.Extended; !end.IsZero() {
			step := min(time.Duration(row.Entry.Extend.Step), left)
			soon := end.Sub(s.now()) <= time.Duration(row.Entry.WarnBefore)
			out.Extend = &ExtendInfo{Step: int64(step / time.Second), Left: int64(left / time.Second), Soon: soon}
		}
	}
	if !row.Visited.IsZero() {
		out.Visitor = &VisitorInfo{row.Visitor, row.Visited}
	}
	if row.State == Queued {
		out.QueuedPosition, _ = s.position(ctx, row.ID) // 0 says that it is not known
		out.Progress.Position = out.QueuedPosition
	}
	if a, err := s.entry(ctx, row.App); err == nil && row.State.Live() {
		out.RestartNeeded = a.hash() != row.Entry.hash()
	}
	owner, _ := ownerOf(access.CallerFrom(ctx))
	if owner.ID == row.OwnerID || s.allowed(ctx, LogsAny, row.Entry.Group) {
		out.LogTail = row.LogTail
	}
	if s.allowed(ctx, ReadAny, row.Entry.Group) {
		out.Address = row.Address
	}
	return out
}

func (s *Service) allowed(ctx context.Context, action access.Action, group access.Group) bool {
	if group == "" {
		return false
	}
	_, err := s.access.Require(ctx, action, group)
	return err == nil
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// own lists the caller's app sessions, of one app or of all.
func (s *Service) own(ctx context.Context, app AppID) ([]Session, error) {
	owner, _ := ownerOf(access.CallerFrom(ctx))
	if owner.ID == "" {
		return nil, nil
	}
	return s.store.sessions(ctx, s.store.db, filter{owner: owner.ID, app: string(app), limit: 1000})
}

// appInfo shows an entry to the caller.
func (s *Service) appInfo(ctx context.Context, one Entry, own []Session) AppInfo {
	a := one.App
	out := AppInfo{
		ID: a.ID, Name: a.Name, Description: a.Description, Icon: a.Icon, Group: a.Group, Driver: cmp.Or(a.Driver, s.cfg.Driver), Image: a.Image,
		URL: strings.TrimSuffix(s.cfg.PublicURL, "/") + "/open/" + string(a.ID), Options: []OptionInfo{}, Named: a.Named,
		Allow: allowInfo(a.Allow), Resources: resourceInfo(a.Resources), IdleTimeout: a.idleTimeout().String(), MaxLifetime: time.Duration(a.MaxLifetime).String(),
		ReadOnly: one.Version == 0, Sessions: []SessionInfo{},
	}
	for _, o := range a.Options {
		out.Options = append(out.Options, optionInfo(o))
	}
	for _, row := range own {
		if row.App == a.ID {
			out.Sessions = append(out.Sessions, s.info(ctx, row))
			if wait := crashLoop(row.Failures, s.now()); wait > 0 {
				out.WhyNot = CauseCrashLoop.advice()
			}
		}
	}
	if _, err := s.may(ctx, Launch, a); err != nil {
		out.WhyNot = "you may not start this app"
	}
	out.CanLaunch = out.WhyNot == ""
	if s.allowed(ctx, Admin, a.Group) {
		out.Entry = a
	}
	return out
}

func resourceInfo(r Resources) ResourceInfo { return ResourceInfo{r.CPU, int64(r.Memory), r.GPU} }

func allowInfo(a Allow) AllowInfo {
	out := AllowInfo{Roles: append([]access.Role{}, a.Roles...), Deny: append([]access.Role{}, a.DenyRoles...)}
	for _, who := range a.Users {
		if who == "*" {
			out.Everyone = true
		} else {
			out.People++
		}
	}
	return out
}

// optionInfo lists an option's choices by what they take, so that small comes before large.
func optionInfo(o Option) OptionInfo {
	out := OptionInfo{ID: o.ID, Label: o.Label, Type: o.Type, Default: o.Default, Pattern: o.Pattern, Min: o.Min, Max: o.Max}
	for _, id := range slices.Sorted(maps.Keys(o.Choices)) {
		out.Choices = append(out.Choices, ChoiceInfo{id, resourceInfo(o.Choices[id])})
	}
	slices.SortStableFunc(out.Choices, func(a, b ChoiceInfo) int {
		return cmp.Or(cmp.Compare(a.Resources.Memory, b.Resources.Memory), cmp.Compare(a.Resources.CPU, b.Resources.CPU))
	})
	return out
}

// appsOf lists the apps of some groups.
func (s *Service) appsOf(ctx context.Context, groups []access.Group) ([]AppID, error) {
	all, err := s.entries.all(ctx)
	if err != nil {
		return nil, err
	}
	var list []AppID
	for id, one := range all {
		if slices.Contains(groups, one.Group) {
			list = append(list, id)
		}
	}
	return list, nil
}

func (s *Service) handleCapacity(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if list, err := s.Apps(ctx); err != nil || len(list) == 0 {
		_, denied := s.access.Require(ctx, List, DefaultGroup)
		return errors.Join(err, denied) // whoever has no apps needs no room
	}
	owner, by := ownerOf(access.CallerFrom(ctx))
	u, err := s.store.usage(ctx, s.store.db, owner.ID, "")
	if err != nil {
		return err
	}
	starting, err := s.store.countSessions(ctx, s.store.db, filter{states: []State{Starting}})
	if err != nil {
		return err
	}
	l := s.cfg.Limits.forRoles(by.Roles)
	return httpapi.JSON(w, http.StatusOK, Capacity{
		Running: u.all - u.queued, Queued: u.queued, Starting: int(starting), StartsAtOnce: l.StartsAtOnce, Mine: u.mine,
		PerUser: l.SessionsPerUser, Sessions: l.Sessions, CPU: u.cpu, Memory: u.memory,
		CPULimit: int64(l.CPUPerUser * 1000), MemoryLimit: int64(l.MemoryPerUser),
	})
}

func (s *Service) handleDrivers(w http.ResponseWriter, r *http.Request) error {
	out := DriverList{Items: []DriverInfo{}}
	for _, name := range slices.Sorted(maps.Keys(s.drivers)) {
		one := DriverInfo{Name: name, State: "ok"}
		h, err := s.drivers[name].Health(r.Context())
		if err != nil {
			one.State, one.Error = "down", sentence(err)
		}
		if one.Health = h; one.Warnings == nil {
			one.Warnings = []string{}
		}
		if one.Enforced == nil {
			one.Enforced = map[string]string{}
		}
		out.Items = append(out.Items, one)
	}
	return httpapi.JSON(w, http.StatusOK, out)
}
