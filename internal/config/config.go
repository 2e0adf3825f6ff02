// Package config holds every setting of Lodge and where its value came from:
// defaults, then lodge.yaml, then the environment, then flags, in rising order.
// It is the only package that reads the environment. Everything that is wrong is
// reported at once, each with its place, what was wrong and what would be right.
package config

import (
	"time"

	"lodge/internal/secret"
)

// Config is the whole configuration. A field's tags are its documentation: key is its name in
// the file, default what holds without it, help what it does, enum the allowed values.
type Config struct {
	Listen          string        `key:"listen" default:"127.0.0.1:8080" help:"Address and port to listen on."`
	Data            string        `key:"data" default:"./lodge-data" help:"Folder for everything that is kept on this machine."`
	PublicURL       string        `key:"public_url" example:"https://lodge.example.org" help:"The address under which people and programs reach Lodge. Default: derived from listen."`
	DatabaseURL     secret.String `key:"database_url" example:"postgres://lodge:password@db.example.org:5432/lodge" help:"SQLite in the data folder when empty; else postgres://… or mysql://… (MariaDB too)."`
	NATSURL         secret.String `key:"nats_url" example:"nats://nats.example.org:4222" help:"A NATS cluster that carries live events between replicas. In process when empty."`
	ShutdownTimeout time.Duration `key:"shutdown_timeout" default:"30s" help:"How long running requests may take to finish after SIGTERM."`
	Contact         string        `key:"contact" default:"an administrator of this site" example:"it@example.org" help:"Whom people can ask for help; pages that refuse something name it."`
	AdminListen     string        `key:"admin_listen" example:"127.0.0.1:6060" help:"Loopback address for pprof. Off when empty."`
	Log             Log           `key:"log"`
	TLS             TLS           `key:"tls"`
	HTTP            HTTP          `key:"http"`
	Objects         Objects       `key:"objects"`
	Kubernetes      Kubernetes    `key:"kubernetes"`
	Identity        Identity      `key:"identity"`
	Audit           Audit         `key:"audit"`
	Results         Results       `key:"results"`
	Fleet           Fleet         `key:"fleet"`
	Workflows       Workflows     `key:"workflows"`
	Apps            Apps          `key:"apps"`
}

// Log says how the server logs to standard error.
type Log struct {
	Level  string `key:"level" default:"info" enum:"debug,info,warn,error" help:"The least level that is written."`
	Format string `key:"format" default:"text" enum:"text,json" help:"text for people, json for machines."`
}

// TLS is off without certificate files and ACME domains.
type TLS struct {
	CertFile string `key:"cert_file" example:"/etc/lodge/tls.crt" help:"PEM file with the certificate and its chain."`
	KeyFile  string `key:"key_file" example:"/etc/lodge/tls.key" help:"PEM file with the private key."`
	ACME     ACME   `key:"acme"`
}

// ACME obtains certificates by itself.
type ACME struct {
	Domains      []string `key:"domains" example:"[lodge.example.org]" help:"Host names to obtain certificates for."`
	Email        string   `key:"email" example:"it@example.org" help:"Where the authority sends warnings."`
	DirectoryURL string   `key:"directory_url" example:"https://acme.example.org/directory" help:"The authority's directory. Default: Let's Encrypt."`
}

// HTTP holds the limits of the edge.
type HTTP struct {
	TrustedProxies []string      `key:"trusted_proxies" example:"[10.0.0.0/8]" help:"Addresses or networks whose X-Forwarded-* headers are believed."`
	CORSOrigins    []string      `key:"cors_origins" example:"[https://dashboard.example.org]" help:"Web origins other than our own that may call the API."`
	MaxBody        Size          `key:"max_body" default:"1MiB" help:"Largest request body, uploads of files excepted."`
	MaxHeader      Size          `key:"max_header" default:"64KiB" help:"Largest request header."`
	RequestTimeout time.Duration `key:"request_timeout" default:"30s" help:"Longest time for one request, streams excepted."`
	HeaderTimeout  time.Duration `key:"header_timeout" default:"10s" help:"Longest time for a client to send its header."`
	IdleTimeout    time.Duration `key:"idle_timeout" default:"120s" help:"How long an unused connection is kept."`
	StallTimeout   time.Duration `key:"stall_timeout" default:"60s" help:"How long an upload or download may stand still."`
	AccessLog      bool          `key:"access_log" default:"true" help:"Whether every request is logged."`
}

// Kubernetes is the cluster of the parts that run something on one.
type Kubernetes struct {
	Kubeconfig string `key:"kubeconfig" example:"/etc/lodge/kubeconfig" help:"File that says where the cluster is and how to log in, as kubectl uses it. In a pod the pod's service account is used when empty."`
	Context    string `key:"context" example:"lab" help:"Which context of the file to use. Default: its current one."`
}

// Objects says where files are kept.
type Objects struct {
	Driver string `key:"driver" default:"files" enum:"files,s3" help:"files keeps them in the data folder, s3 in an S3-compatible store."`
	S3     S3     `key:"s3"`
}

// S3 is an S3-compatible store.
type S3 struct {
	Endpoint  string        `key:"endpoint" example:"s3.example.org" help:"Host and port of the store, without scheme."`
	Bucket    string        `key:"bucket" example:"lodge" help:"The bucket; it must exist."`
	Region    string        `key:"region" default:"us-east-1" help:"The region sent in signatures."`
	AccessKey string        `key:"access_key" example:"lodge" help:"Access key."`
	SecretKey secret.String `key:"secret_key" example:"…" help:"Secret key."`
	UseTLS    bool          `key:"use_tls" default:"true" help:"Whether the store speaks TLS."`
	CAFile    string        `key:"ca_file" example:"/etc/lodge/s3-ca.pem" help:"PEM file of further authorities to trust."`
}

// Identity says whom to believe.
type Identity struct {
	Issuers       []Issuer      `key:"issuers" help:"OpenID Connect providers. Without any, Lodge runs one of its own."`
	Admins        []string      `key:"admins" example:"[alice]" help:"Administrators: user names, or issuer|subject."`
	TrustedHeader TrustedHeader `key:"trusted_header"`
	SessionTTL    time.Duration `key:"session_ttl" default:"12h" help:"How long a browser session lasts at most."`
	SessionIdle   time.Duration `key:"session_idle" default:"2h" help:"How long a browser session lasts without a request."`
	RenewEvery    time.Duration `key:"renew_every" default:"10m" help:"How often a provider is asked again, by its refresh token, about whoever is logged in: for their roles, and whether they may stay."`
	PasswordGrant bool          `key:"password_grant" default:"false" help:"Whether the embedded provider hands tokens to programs for a user name and password."`
	Callback      string        `key:"callback" default:"/auth/callback" enum:"/auth/callback,/redirect_uri" help:"Which of Lodge's two callback addresses is named to providers; /redirect_uri is the one that clients of ServiceHub are registered with."`
	SkipJWT       bool          `key:"skip_jwt_validation" default:"false" help:"Believe tokens without checking their signature. For development alone; warned about while on."`
}

// Issuer is one provider of tokens. Give issuer for discovery, or jwks_url, or a key.
type Issuer struct {
	Issuer        string        `key:"issuer" example:"https://keycloak.example.org/realms/site" help:"The issuer's address, exactly as in its tokens."`
	JWKSURL       string        `key:"jwks_url" example:"https://login.example.org/keys" help:"Where its keys are, when it has no discovery document."`
	ClientID      string        `key:"client_id" example:"lodge" help:"Our client id there, for logging in with a browser."`
	ClientSecret  secret.String `key:"client_secret" example:"…" help:"Our client secret there."`
	Scopes        []string      `key:"scopes" example:"[offline_access]" help:"Scopes to ask for besides openid, profile and email. Most providers give a refresh token for offline_access alone, and without one nobody's roles are read again until they log in again."`
	Audiences     []string      `key:"audiences" example:"[lodge]" help:"Audiences that tokens may have. Default: client_id; any when neither is set."`
	SubjectClaims []string      `key:"subject_claims" example:"[preferred_username, sub]" help:"Claims of which the first that is there tells people apart. Default: sub."`
	NameClaim     string        `key:"name_claim" default:"preferred_username" help:"The claim with a caller's name."`
	RoleClaim     string        `key:"role_claim" example:"roles" help:"The claim with a caller's roles, such as roles or realm_access.roles. Roles of tokens are ignored when empty."`
	CAFile        string        `key:"ca_file" example:"/etc/lodge/ca.pem" help:"PEM file of further authorities to trust."`
	PublicKeyFile string        `key:"public_key_file" example:"/etc/lodge/issuer.pem" help:"PEM file with the one key that signs its tokens."`
	HS256Secret   secret.String `key:"hs256_secret" example:"…" help:"A shared secret that signs its tokens; at least 32 bytes."`
	Algorithms    []string      `key:"algorithms" example:"[RS256, ES256]" help:"Signature algorithms to accept. Default: RS256 and ES256 (HS256 with a shared secret)."`
}

// TrustedHeader is for a site behind an authenticating proxy.
type TrustedHeader struct {
	Name    string   `key:"name" example:"userid" help:"The header in which the proxy names the user. Off when empty."`
	Proxies []string `key:"proxies" example:"[10.0.0.5]" help:"The proxies that may set it; it is stripped from everyone else."`
}

// Audit says how the audit log is sealed.
type Audit struct {
	KeyFile string `key:"key_file" example:"/etc/lodge/audit-key.pem" help:"PEM file with the Ed25519 key that signs the audit log, the same on every replica. In the database when empty, where whoever can change the log can also sign it anew."`
}

// Results configures the results part.
type Results struct {
	ClientIDClaim         string        `key:"client_id_claim" default:"client_id" help:"The claim that names the calling analysis."`
	IntermediateAccess    string        `key:"intermediate_access" default:"own" enum:"own,any" help:"Who may read an intermediate object: the analysis that it belongs to, or (as the original) any."`
	Queue                 string        `key:"queue" default:"on" enum:"on,off" help:"Whether final results wait here while the hub is away; off answers the original's errors."`
	UnauthenticatedStatus int           `key:"unauthenticated_status" default:"403" enum:"401,403" help:"The status for a missing login: 403 as the original, 401 as its successor."`
	HubAdapterClientID    string        `key:"hub_adapter_client_id" default:"hub-adapter" help:"The client that may delete a project's local results."`
	MaxUploadSize         Size          `key:"max_upload_size" default:"0" help:"Largest uploaded file; 0 means no limit."`
	Retention             time.Duration `key:"retention" default:"168h" help:"How long a delivered final result is kept here; 0 deletes it at once."`
	Hub                   Hub           `key:"hub"`
	Crypto                Crypto        `key:"crypto"`
	DP                    DP            `key:"dp"`
}

// Hub is the FLAME hub. Without an address final results wait.
type Hub struct {
	URL         string        `key:"url" example:"https://hub.example.org" help:"One address with /core, /storage and /auth beneath; or set the three below."`
	CoreURL     string        `key:"core_url" example:"https://core.hub.example.org" help:"Base address of the core service."`
	StorageURL  string        `key:"storage_url" example:"https://storage.hub.example.org" help:"Base address of the storage service."`
	AuthURL     string        `key:"auth_url" example:"https://auth.hub.example.org" help:"Base address of the authentication service."`
	Flow        string        `key:"flow" default:"robot" enum:"robot,password,client" help:"How Lodge logs in there."`
	ID          string        `key:"id" example:"5f0c0e5e-0000-4000-8000-000000000001" help:"Robot or client id."`
	Secret      secret.String `key:"secret" example:"…" help:"Robot or client secret."`
	Username    string        `key:"username" example:"node-7" help:"User name, for the flow password."`
	Password    secret.String `key:"password" example:"…" help:"Password, for the flow password."`
	Generation  string        `key:"generation" default:"auto" enum:"auto,a,b,c" help:"The generation of the hub's API; auto reads it off the answers."`
	SyncTimeout time.Duration `key:"sync_timeout" default:"10s" help:"How long an upload waits for the hub before it is answered with 202 and queued."`
	Timeout     time.Duration `key:"timeout" default:"10s" help:"Time limit for one small call to the hub."`
	ProxyHTTP   secret.String `key:"proxy_http" example:"http://proxy.example.org:3128" help:"Proxy for http addresses of the hub."`
	ProxyHTTPS  secret.String `key:"proxy_https" example:"http://proxy.example.org:3128" help:"Proxy for https addresses of the hub."`
	NoProxy     string        `key:"no_proxy" example:"hub.internal,10.0.0.0/8" help:"Hosts of the hub that are reached without the proxy."`
	CAFile      string        `key:"ca_file" example:"/etc/lodge/ca.pem" help:"PEM file of further authorities to trust."`
}

// Configured says whether there is a hub at all.
func (h Hub) Configured() bool { return h.URL != "" || h.CoreURL != "" }

// Crypto holds this node's key for intermediate results.
type Crypto struct {
	PrivateKey     secret.String `key:"private_key" example:"…" help:"The node's ECDH private key as PEM text."`
	PrivateKeyFile string        `key:"private_key_file" example:"/etc/lodge/node-key.pem" help:"PEM file with the node's ECDH private key."`
}

// DP bounds local differential privacy.
type DP struct {
	MaxSubmissions int `key:"max_submissions" default:"0" min:"0" help:"How many noised results one analysis may submit; 0 means no limit."`
}

// Fleet configures the fleet part.
type Fleet struct {
	OpenPermissions bool           `key:"open_permissions" default:"false" help:"Let everybody who can log in command robots, doors and lifts, as the original does. Warned about while on."`
	StubLogin       bool           `key:"stub_login" default:"false" help:"Believe the two tokens, of admin and user, that the stock dashboard has built in. Everybody knows them: for development on a loopback address alone, and warned about while on."`
	TimeZone        string         `key:"time_zone" default:"UTC" help:"The time zone of schedules, such as Europe/Berlin."`
	UseSimTime      bool           `key:"use_sim_time" default:"false" help:"Take the time from the ROS topic /clock."`
	TaskAPITimeout  time.Duration  `key:"task_api_timeout" default:"5s" help:"How long to wait for RMF's answer to a task request."`
	CheckTasks      bool           `key:"check_tasks" default:"true" help:"Refuse commands about tasks that are unknown or have ended at once; RMF does not answer those."`
	LostAfter       time.Duration  `key:"lost_after" default:"5m" help:"How long a task at work may go unheard of, while its fleet reports, before it counts as failed, as after a restart of its adapter; 0 means for ever."`
	NameRequester   bool           `key:"name_requester" default:"false" help:"Name the caller in door and lift requests, instead of the server."`
	Adapter         FleetAdapter   `key:"adapter"`
	Rosbridge       Rosbridge      `key:"rosbridge"`
	Schedule        FleetSchedule  `key:"schedule"`
	Retention       FleetRetention `key:"retention"`
	Simulator       FleetSimulator `key:"simulator"`
}

// FleetAdapter is about the WebSocket of fleet adapters and the dispatcher.
type FleetAdapter struct {
	AllowedPeers []string `key:"allowed_peers" example:"[10.0.0.7]" help:"Addresses or networks from which adapters may connect without a token. Warned about while set."`
	MaxMessage   Size     `key:"max_message" default:"16MiB" help:"Largest message of an adapter."`
}

// Rosbridge is the way to ROS 2.
type Rosbridge struct {
	URL        string `key:"url" example:"ws://127.0.0.1:9090" help:"Address of a rosbridge v2 server. Without one there is no ROS, or a simulated site."`
	MaxMessage Size   `key:"max_message" default:"64MiB" help:"Largest message from ROS; building maps carry their floor plans."`
}

// FleetSchedule is about scheduled tasks.
type FleetSchedule struct {
	Missed      string        `key:"missed" default:"skip" enum:"skip,run_once" help:"What becomes of an occurrence that was missed while the site was down."`
	MissedAfter time.Duration `key:"missed_after" default:"1m" help:"How late an occurrence may run without counting as missed."`
}

// FleetRetention is how long what has ended is kept; 0 keeps it for ever.
type FleetRetention struct {
	Tasks  time.Duration `key:"tasks" default:"2160h" help:"How long tasks that have ended are kept, with their logs; 0 means for ever."`
	Logs   time.Duration `key:"logs" default:"720h" help:"How long entries of logs are kept; 0 means for ever."`
	Alerts time.Duration `key:"alerts" default:"2160h" help:"How long alerts are kept; 0 means for ever."`
}

// FleetSimulator is the simulated site that stands in for a building.
type FleetSimulator struct {
	Mode   string `key:"mode" default:"auto" enum:"auto,on,off" help:"Whether a simulated site runs beside the server while fleet.rosbridge.url is empty; auto has one while database_url is empty too."`
	Robots int    `key:"robots" default:"8" min:"1" help:"How many robots it has."`
	Speed  int    `key:"speed" default:"1" min:"1" help:"How much faster than life it lives."`
}

// Workflows configures the workflows part.
type Workflows struct {
	Engine         string         `key:"engine" default:"local" enum:"local,argo,off" help:"What runs jobs: local runs them on this machine, argo on the cluster of the section kubernetes, which has Argo Workflows; off keeps workflows and runs none."`
	FirstWorkspace string         `key:"first_workspace" default:"sandbox" help:"A workspace that is made at start while there is none, for the role sandbox-developer; none when empty."`
	CreatorRoles   []string       `key:"creator_roles" default:"[admin, developer-admin, sandbox-developer]" help:"Roles that may make workspaces, beside those with the permission."`
	SecretKeyFile  string         `key:"secret_key_file" example:"/etc/lodge/workflows.key" help:"File with 64 hexadecimal digits that encrypts workspaces' secrets, the same on every replica. One is made in the data folder when empty."`
	AnyVolume      bool           `key:"any_volume" default:"false" help:"Let jobs mount volumes that their workspace has not registered, as the original does. Warned about while on."`
	MaxDocument    Size           `key:"max_document" default:"8MiB" help:"Largest component, workflow or job."`
	MaxPage        int            `key:"max_page" default:"1000" min:"1" help:"Most items in one page of a list."`
	Retention      time.Duration  `key:"retention" default:"2160h" help:"How long jobs that have ended are kept, with their logs and files; 0 means for ever."`
	Local          WorkflowsLocal `key:"local"`
	Argo           WorkflowsArgo  `key:"argo"`
}

// WorkflowsLocal is how jobs run on this machine.
type WorkflowsLocal struct {
	Driver      string          `key:"driver" default:"auto" enum:"auto,docker,process" help:"What runs a job's steps: docker runs containers; process runs plain processes that can do whatever the server can, for development alone. auto takes containers if an engine answers at start, plain processes while Lodge listens on a loopback address without a public_url, and runs no jobs otherwise."`
	Parallelism int             `key:"parallelism" default:"4" min:"1" help:"How many steps run at once, of all jobs together."`
	Folder      string          `key:"folder" example:"/var/lib/lodge/steps" help:"Where steps work, and the volumes of workspaces are. In the data folder when empty."`
	Path        string          `key:"path" default:"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" help:"Where plain processes find their commands."`
	StepTimeout time.Duration   `key:"step_timeout" default:"24h" help:"How long a step may run; 0 means no limit."`
	MaxLog      Size            `key:"max_log" default:"16MiB" help:"How much of a step's log is kept."`
	MaxFile     Size            `key:"max_file" default:"0" help:"Largest file that a step hands on; 0 means no limit."`
	MaxNodes    int             `key:"max_nodes" default:"100000" min:"1" help:"Most nodes of one job, lists gone through included."`
	HostPaths   []string        `key:"host_paths" example:"[/srv/data]" help:"Folders of the machine below which volumes (hostPath) may lie; without any there are none."`
	Docker      WorkflowsDocker `key:"docker"`
}

// WorkflowsArgo is how jobs run on a Kubernetes cluster.
type WorkflowsArgo struct {
	Namespace      string        `key:"namespace" default:"lodge" help:"The namespace whose ConfigMaps make namespaces workspaces."`
	ServiceAccount string        `key:"service_account" example:"steps" help:"What steps run as, in each workspace's namespace. Its default account when empty."`
	Keep           time.Duration `key:"keep" default:"1h" help:"How long the Workflow of a job that has ended stays in the cluster, with its pods; what is kept of the job here stays."`
	MaxLog         Size          `key:"max_log" default:"16MiB" help:"How much of a step's log is kept."`
}

// WorkflowsDocker is the engine that runs steps as containers.
type WorkflowsDocker struct {
	Host    string `key:"host" example:"unix:///var/run/docker.sock" help:"Address of the engine. Default: the usual socket."`
	Pull    string `key:"pull" default:"missing" enum:"missing,always,never" help:"When images are fetched."`
	Memory  Size   `key:"memory" default:"2GiB" help:"Memory of a container that names no limit; 0 means no limit."`
	CPUs    int    `key:"cpus" default:"2" min:"0" help:"Processors of a container that names no limit; 0 means no limit."`
	Network string `key:"network" default:"bridge" help:"The network of containers that ask for one by LODGE_NETWORK=on in their environment; all others have none."`
}
