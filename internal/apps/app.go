package apps

import (
	"strings"
	"time"

	"lodge/internal/access"
)

// AppID names an app for ever: lower-case letters, digits and single hyphens, 20 at most.
type AppID string

// App is an entry of the catalogue: what can be started, for whom, and within which limits.
type App struct {
	ID          AppID        `json:"id"`
	Name        string       `json:"name,omitempty"`
	Description string       `json:"description,omitempty"`
	Icon        string       `json:"icon,omitempty"`
	Group       access.Group `json:"group,omitempty"`
	Allow       Allow        `json:"allow,omitzero"`
	Driver      string       `json:"driver,omitempty"`

	Image     string                  `json:"image,omitempty"`
	Command   []string                `json:"command,omitempty"`
	Port      int                     `json:"port,omitempty"`
	Socket    bool                    `json:"socket,omitempty"`
	BasePath  string                  `json:"base_path,omitempty"`
	Env       map[string]string       `json:"env,omitempty"`
	SecretEnv map[string]SecretSource `json:"secret_env,omitempty"`
	Volumes   []Volume                `json:"volumes,omitempty"`
	Resources Resources               `json:"resources,omitzero"`
	Options   []Option                `json:"options,omitempty"`

	Ready        Ready    `json:"ready,omitzero"`
	StartTimeout Duration `json:"start_timeout,omitempty"`
	Autostart    bool     `json:"autostart,omitempty"`
	IdleTimeout  Duration `json:"idle_timeout,omitempty"`
	// NeverIdle keeps an app that nobody uses: in files that is written "idle_timeout: 0".
	NeverIdle    bool           `json:"never_idle,omitempty"`
	MaxLifetime  Duration       `json:"max_lifetime,omitempty"`
	Activity     ActivityRule   `json:"activity,omitzero"`
	WarnBefore   Duration       `json:"warn_before,omitempty"`
	Extend       ExtendRule     `json:"extend,omitzero"`
	Named        int            `json:"named,omitempty"`
	StopOnLogout bool           `json:"stop_on_logout,omitempty"`
	Identity     IdentityRule   `json:"identity,omitzero"`
	Security     SecurityRule   `json:"security,omitzero"`
	Trusted      bool           `json:"trusted,omitempty"`
	Responses    ResponseHeader `json:"response_headers,omitzero"`

	PreserveHost           *bool    `json:"preserve_host,omitempty"`
	AllowedOrigins         []string `json:"allowed_origins,omitempty"`
	AllowUnderscoreHeaders []string `json:"allow_underscore_headers,omitempty"`
	ResponseHeaderTimeout  Duration `json:"response_header_timeout,omitempty"`
	MaxBody                Size     `json:"max_body,omitempty"`
	MaxConnections         int      `json:"max_connections,omitempty"`
	MaxWebSockets          int      `json:"max_websockets,omitempty"`
}

// Allow says who may use an app. Whoever it names may; with it empty, permissions on the group decide.
type Allow struct {
	Roles     []access.Role `json:"roles,omitempty"`
	Users     []string      `json:"users,omitempty"`
	DenyRoles []access.Role `json:"deny_roles,omitempty"`
}

// SecretSource is where a secret value of the environment is read when the app starts.
type SecretSource struct {
	File string `json:"file"`
}

// Volume is storage that an app sees at Path.
type Volume struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Per      string `json:"per,omitempty"` // user, session, app or shared
	Source   string `json:"source,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Size     Size   `json:"size,omitempty"`
}

// Claim is the name of the Kubernetes claim that a source of the form claim:NAME means.
func (v Volume) Claim() (name string, ok bool) { return strings.CutPrefix(v.Source, "claim:") }

// Resources bound what one app session may use.
type Resources struct {
	CPU           float64 `json:"cpu,omitempty"`
	CPURequest    float64 `json:"cpu_request,omitempty"`
	Memory        Size    `json:"memory,omitempty"`
	MemoryRequest Size    `json:"memory_request,omitempty"`
	PIDs          int     `json:"pids,omitempty"`
	Disk          Size    `json:"disk,omitempty"`
	Shm           Size    `json:"shm,omitempty"`
	GPU           int     `json:"gpu,omitempty"`
}

// over is r where it says something, and base elsewhere.
func (r Resources) over(base Resources) Resources {
	orDefault(&r.CPU, base.CPU)
	orDefault(&r.CPURequest, base.CPURequest)
	orDefault(&r.Memory, base.Memory)
	orDefault(&r.MemoryRequest, base.MemoryRequest)
	orDefault(&r.PIDs, base.PIDs)
	orDefault(&r.Disk, base.Disk)
	orDefault(&r.Shm, base.Shm)
	orDefault(&r.GPU, base.GPU)
	return r
}

// Ready says how an app shows that it answers.
type Ready struct {
	Path    string   `json:"path,omitempty"`
	TCP     bool     `json:"tcp,omitempty"`
	Status  []any    `json:"status,omitempty"` // numbers, or ranges such as "200-399"
	Timeout Duration `json:"timeout,omitempty"`
}

// ActivityRule says what counts as use; see activity.go.
type ActivityRule struct {
	HTTP         string   `json:"http,omitempty"`
	WebSocket    string   `json:"websocket,omitempty"`
	Probe        string   `json:"probe,omitempty"`
	CPU          float64  `json:"cpu,omitempty"`
	Ignore       []string `json:"ignore,omitempty"`
	IgnoreFrames []string `json:"ignore_frames,omitempty"`
}

// ExtendRule is how an owner may put off the end.
type ExtendRule struct {
	Step Duration `json:"step,omitempty"`
	Max  Duration `json:"max,omitempty"`
}

// IdentityRule is what an app is told about who uses it.
type IdentityRule struct {
	Headers           []string `json:"headers,omitempty"`
	Assertion         bool     `json:"assertion,omitempty"`
	PassAuthorization bool     `json:"pass_authorization,omitempty"`
}

// SecurityRule is how far a container may go. There is no privileged one.
type SecurityRule struct {
	RunAs        RunAs           `json:"run_as,omitempty"`
	AllowRoot    bool            `json:"allow_root,omitempty"`
	ReadOnlyRoot *bool           `json:"read_only_root,omitempty"`
	Tmpfs        map[string]Size `json:"tmpfs,omitempty"`
	CapAdd       []string        `json:"cap_add,omitempty"`
	Egress       string          `json:"egress,omitempty"`
	Runtime      string          `json:"runtime,omitempty"`
}

// ResponseHeader changes what an app answers.
type ResponseHeader struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// Option is a field of the launch form. People choose among what it offers and nothing else.
type Option struct {
	ID      string               `json:"id"`
	Label   string               `json:"label,omitempty"`
	Type    string               `json:"type,omitempty"` // choice, text, number or boolean
	Default any                  `json:"default,omitempty"`
	Choices map[string]Resources `json:"choices,omitempty"`
	Pattern string               `json:"pattern,omitempty"`
	Min     *float64             `json:"min,omitempty"`
	Max     *float64             `json:"max,omitempty"`
}

// withDefaults is the entry with everything filled in that was left out.
func (a App) withDefaults() App {
	orDefault(&a.Name, string(a.ID))
	orDefault(&a.Group, DefaultGroup)
	if a.Port == 0 && !a.Socket {
		a.Port = 8080
	}
	orDefault(&a.BasePath, "{prefix}")
	a.Resources = a.Resources.over(Resources{CPU: 1, Memory: 2 << 30, PIDs: 512})
	orDefault(&a.Ready.Path, "/")
	orDefault(&a.Ready.Timeout, Duration(time.Minute))
	if len(a.Ready.Status) == 0 {
		a.Ready.Status = []any{"200-399", 401.0, 403.0}
	}
	orDefault(&a.StartTimeout, Duration(5*time.Minute))
	if !a.NeverIdle {
		orDefault(&a.IdleTimeout, Duration(time.Hour))
	}
	orDefault(&a.Activity.HTTP, "user")
	orDefault(&a.Activity.WebSocket, "input")
	if a.Activity.IgnoreFrames == nil {
		a.Activity.IgnoreFrames = []string{"2", "3"}
	}
	orDefault(&a.WarnBefore, Duration(5*time.Minute))
	orDefault(&a.Extend.Step, Duration(time.Hour))
	orDefault(&a.Extend.Max, Duration(4*time.Hour))
	orDefault(&a.Security.RunAs, "10001")
	orDefault(&a.Security.Egress, "internet")
	orDefault(&a.ResponseHeaderTimeout, Duration(2*time.Minute))
	orDefault(&a.MaxConnections, 256)
	orDefault(&a.MaxWebSockets, 64)
	for i := range a.Volumes {
		orDefault(&a.Volumes[i].Per, "user")
	}
	for i := range a.Options {
		orDefault(&a.Options[i].Label, a.Options[i].ID)
		orDefault(&a.Options[i].Type, "choice")
	}
	return a
}

// idleTimeout is 0 for an app that may idle for ever.
func (a *App) idleTimeout() time.Duration {
	if a.NeverIdle {
		return 0
	}
	return time.Duration(a.IdleTimeout)
}

func (a *App) preserveHost() bool { return a.PreserveHost == nil || *a.PreserveHost }

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
