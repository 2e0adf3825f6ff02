package lodge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lodge/internal/config"
	"lodge/internal/fault"
	"lodge/internal/workflows"
)

// A Finding is what a look at one thing showed.
type Finding struct {
	// State is "ok", "warning" or "failure".
	State string
	// Subject is what was looked at, such as "database".
	Subject string
	// Text says how it is and, unless it is well, what to do.
	Text string
}

// The states of a finding.
const (
	Well    = "ok"
	Warning = "warning"
	Failure = "failure"
)

// Examine looks at the configuration and at everything that it names. It changes nothing but what
// a first start would: the data folder and the database's schema.
func Examine(ctx context.Context, cfg *config.Loaded, now func() time.Time, log *slog.Logger) []Finding {
	e := &examination{cfg: cfg, now: now}
	e.folder()
	e.address()
	e.certificate()
	e.stores(ctx, log)
	return e.findings
}

type examination struct {
	cfg      *config.Loaded
	now      func() time.Time
	findings []Finding
}

func (e *examination) add(state, subject, format string, args ...any) {
	e.findings = append(e.findings, Finding{state, subject, fmt.Sprintf(format, args...)})
}

// result adds how something that can fail is.
func (e *examination) result(subject string, err error, well, advice string) {
	if err == nil {
		e.add(Well, subject, "%s", well)
		return
	}
	// Errors of libraries come in several lines, and sentences end where a cause follows.
	text := strings.ReplaceAll(strings.Join(strings.Fields(err.Error()), " "), ".: ", ": ")
	if advice != "" {
		text += ": " + advice
	}
	e.add(Failure, subject, "%s", text)
}

const littleRoom = 1 << 30

// clusterWait is how long a cluster may take to answer all questions.
const clusterWait = 15 * time.Second

func (e *examination) folder() {
	home := folder(e.cfg.Data)
	if err := home.make(); err != nil {
		e.add(Failure, "data folder", "%v: give --data a folder that can be written to", err)
		return
	}
	probe, err := os.CreateTemp(home.path(temporaryDir), "doctor-*")
	if err != nil {
		e.add(Failure, "data folder", "%v: give --data a folder that can be written to", err)
		return
	}
	_ = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if info, err := os.Stat(e.cfg.Data); err == nil && info.Mode().Perm()&0o077 != 0 {
		e.add(Warning, "data folder", "%s can be read by others on this machine: chmod 700 %s", e.cfg.Data, e.cfg.Data)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(e.cfg.Data, &disk); err == nil {
		free := disk.Bavail * uint64(disk.Bsize)
		if free < littleRoom {
			e.add(Warning, "data folder", "only %d MiB are free: uploads will be refused when it is full", free>>20)
			return
		}
		e.add(Well, "data folder", "%s can be written to, %d GiB are free", e.cfg.Data, free>>30)
	}
}

func (e *examination) address() {
	host := hostOf(e.cfg.Listen)
	public := e.cfg.PublicURL
	switch {
	case public == "" && !isLoopback(host):
		e.add(Warning, "public_url", "is not set, but %s can be reached from other machines: set it to the address that people type, or their logins lead nowhere", e.cfg.Listen)
	case strings.HasPrefix(public, "http://") && !strings.HasPrefix(public, "http://localhost") && !strings.HasPrefix(public, "http://127.0.0.1"):
		e.add(Warning, "public_url", "is not encrypted: passwords and tokens can be read on the way; use TLS here or in a proxy before it")
	default:
		e.add(Well, "public_url", "%s", publicOr(public))
	}
	if e.cfg.Identity.SkipJWT {
		e.add(Failure, "identity", "identity.skip_jwt_validation is on: anybody can claim to be anybody")
	}
}

func isLoopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

func publicOr(public string) string {
	if public == "" {
		return "follows from the address that Lodge listens on"
	}
	return "is " + public
}

func hostOf(address string) string {
	u, err := url.Parse("//" + address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (e *examination) certificate() {
	c := e.cfg.TLS
	if c.CertFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		e.add(Failure, "certificate", "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		e.add(Failure, "certificate", "%v", err)
		return
	}
	left := leaf.NotAfter.Sub(e.now())
	switch {
	case left < 0:
		e.add(Failure, "certificate", "has expired on %s: renew it", leaf.NotAfter.Format(time.DateOnly))
	case left < 14*24*time.Hour:
		e.add(Warning, "certificate", "expires on %s: renew it", leaf.NotAfter.Format(time.DateOnly))
	default:
		e.add(Well, "certificate", "is good until %s", leaf.NotAfter.Format(time.DateOnly))
	}
}

// certificateFits says whether the certificate holds for a host.
func certificateFits(c config.TLS, host string) error {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	return leaf.VerifyHostname(host)
}

// stores looks at what is elsewhere: database, objects, hub, issuers.
func (e *examination) stores(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	office, err := OpenOffice(ctx, e.cfg, e.now, log)
	if err != nil {
		advice := "check database_url, and that the server runs"
		if !fault.Is(err, fault.Unavailable) {
			advice = ""
		}
		e.result("database and identity", err, "", advice)
		return
	}
	defer func() { _ = office.Close() }()
	p := office.platform
	e.result("database", p.db.Ping(ctx), "answers, the schema is up to date", "")
	if p.db.Dialect() != "sqlite" && e.cfg.Audit.KeyFile == "" {
		e.add(Warning, "audit log", "its key is in the database: set audit.key_file, the same on every replica, to hold against the database's administrators")
	}
	if b, err := openBucket(ctx, p); err != nil {
		e.result("objects", err, "", "")
	} else {
		e.result("objects", b.Check(ctx), "can be stored and read", "check objects.s3, and that the bucket exists")
		_ = b.close()
	}
	reached := p.identity.Reach(ctx)
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		e.result("issuer "+name, reached[name], "gives its keys", "check its address in identity.issuers, and ca_file if its certificate is your own")
	}
	rehearsed := p.identity.Rehearse(ctx)
	for _, name := range slices.Sorted(maps.Keys(rehearsed)) {
		for _, wrong := range rehearsed[name] {
			e.result("issuer "+name, wrong, "", "")
		}
		if len(rehearsed[name]) == 0 {
			e.add(Well, "issuer "+name, "knows us, and lets logins begin")
		}
	}
	if p.provider != nil {
		e.add(Well, "identity", "people log in at the embedded provider")
	}
	_, err = nodeKey(e.cfg.Results.Crypto)
	e.result("node key", err, "can be read, or is not set", "")
	e.hub(ctx, p)
	e.workflows(ctx, p, log)
	e.apps(ctx, p)
}

// workflows looks at the key for secrets, which a start makes when there is none.
func (e *examination) workflows(ctx context.Context, p *platform, log *slog.Logger) {
	named := e.cfg.Workflows.SecretKeyFile
	switch path := cmp.Or(named, p.folder.path(workflowsKey)); {
	case named == "" && p.db.Dialect() != "sqlite":
		e.add(Warning, "workflows", "every replica has a key of its own for secrets: set workflows.secret_key_file, the same on every replica")
	case !exists(path):
		e.add(Well, "workflows", "the first start makes the key for secrets")
	default:
		_, err := workflows.OpenSecretKey(path)
		e.result("workflows", err, "the key for secrets can be read", "restore workflows.secret_key_file from a backup: secrets cannot be read without it")
	}
	if e.cfg.Workflows.Engine == "argo" {
		e.cluster(ctx, p)
	} else {
		e.steps(ctx, log)
	}
	if e.cfg.Workflows.AnyVolume {
		e.add(Warning, "workflows", "workflows.any_volume is on: jobs mount volumes that no administrator of their workspace has registered")
	}
}

// steps looks at what runs the steps of jobs.
func (e *examination) steps(ctx context.Context, log *slog.Logger) {
	c := e.cfg.Workflows
	if c.Engine == "off" {
		e.add(Well, "workflows", "are kept, and no jobs are run")
		return
	}
	if c.Local.Driver != "process" {
		d, err := newDocker(e.cfg, "doctor", log)
		if err == nil {
			asking, stop := context.WithTimeout(ctx, engineWait)
			err = d.Check(asking)
			stop()
			_ = d.Close()
		}
		if err == nil || c.Local.Driver == "docker" {
			e.result("workflows", err, "jobs run as containers, and the engine answers", "check workflows.local.docker, and that the engine runs")
			return
		}
	}
	switch {
	case c.Local.Driver == "process" && !forDevelopment(e.cfg):
		e.add(Warning, "workflows", "jobs run as plain processes: whoever may run one can do whatever the server can")
	case forDevelopment(e.cfg):
		e.add(Well, "workflows", "jobs run as plain processes, for development alone")
	default:
		e.add(Warning, "workflows", "no jobs are run: no container engine answers, and plain processes are for development alone; choose with workflows.local.driver")
	}
}

// cluster looks at what runs jobs on a cluster.
func (e *examination) cluster(ctx context.Context, p *platform) {
	engine, err := newCluster(p, "doctor")
	if err != nil {
		e.result("workflows", err, "", "")
		return
	}
	asking, stop := context.WithTimeout(ctx, clusterWait)
	defer stop()
	if err := engine.Check(asking); err != nil {
		e.result("workflows", err, "", "")
		return
	}
	missing, err := engine.Examine(asking)
	if err != nil {
		e.result("workflows", err, "", "")
		return
	}
	for _, one := range missing {
		e.add(Failure, "workflows", "%s: give its account the rights of deploy/kubernetes/lodge-workflows.yaml", one)
	}
	if len(missing) == 0 {
		e.add(Well, "workflows", "jobs run on the cluster, which knows Argo's Workflows, and Lodge has the rights that it needs")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (e *examination) hub(ctx context.Context, p *platform) {
	h, err := openHub(p)
	switch {
	case err != nil:
		e.result("hub", err, "", "")
	case h == nil:
		e.add(Well, "hub", "none is configured: final results wait here")
	default:
		e.result("hub", h.Check(ctx), "answers and accepts our login", "check results.hub")
		h.Close()
	}
}
