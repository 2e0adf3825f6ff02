package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// lodge is a site: a server with its data, and the commands of its administrator.
type lodge struct {
	t testing.TB
	*place
	data   string
	parts  []string
	within []string // a command that the server is run by
	// simulated has a simulated site run beside the server, which few stories need.
	simulated bool
	// listen is where it listens; on another port each time when empty.
	listen string
	server *process
}

// setting is something about a site that is not as it is out of the box.
type setting func(*lodge)

// with sets a variable of the environment.
func with(name, value string) setting {
	return func(l *lodge) { l.env = append(l.env, name+"="+value) }
}

// serving serves these parts alone.
func serving(parts ...string) setting { return func(l *lodge) { l.parts = parts } }

// all joins settings.
func all(settings ...setting) setting {
	return func(l *lodge) {
		for _, set := range settings {
			set(l)
		}
	}
}

// newLodge makes a site that is not started yet, with a data folder that does not exist yet.
func newLodge(t testing.TB, settings ...setting) *lodge {
	t.Helper()
	l := &lodge{t: t, place: newPlace(t)}
	l.data = filepath.Join(l.dir, "data")
	all(settings...)(l)
	return l
}

// startLodge starts a new site.
func startLodge(t testing.TB, settings ...setting) *lodge {
	t.Helper()
	l := newLodge(t, settings...)
	l.start()
	return l
}

func (l *lodge) command() []string {
	args := slices.Concat(l.within, []string{theBinary(l.t), "serve"}, l.parts)
	if !l.simulated {
		args = append(args, "--no-simulator")
	}
	return append(args, "--data", l.data, "--listen", cmp.Or(l.listen, "127.0.0.1:0"))
}

// simulated runs a simulated site beside the server, twenty times faster than life.
func simulated(l *lodge) {
	l.simulated = true
	with("LODGE_FLEET_SIMULATOR_SPEED", "20")(l)
}

// start starts the server, on another port each time. It is stopped when the test ends at the latest,
// and must do that tidily.
func (l *lodge) start() {
	l.t.Helper()
	l.server = l.serve(l.t, l.command()...)
	l.t.Cleanup(func() {
		if !l.t.Failed() {
			l.stop()
		}
	})
}

// stop asks the server to end, as a service manager does. A server that runs no more is left alone.
func (l *lodge) stop() {
	l.t.Helper()
	select {
	case <-l.server.done:
		return
	default:
	}
	l.server.signal(syscall.SIGTERM)
	if code := l.server.wait(); code != 0 {
		l.t.Fatalf("after SIGTERM the server ended with status %d:\n%s", code, l.server.logs())
	}
	left, err := os.ReadDir(filepath.Join(l.dir, "tmp"))
	noError(l.t, err)
	if len(left) > 0 {
		l.t.Errorf("the server left %v in the folder for temporary files", left)
	}
}

// kill ends the server as a power cut does.
func (l *lodge) kill() { l.server.kill() }

// url is where the server listens.
func (l *lodge) url() string {
	if l.listen != "" {
		return "http://" + l.listen // what it says is its public address
	}
	return l.server.url
}

// behind gives the site a public address that is not its own.
func behind(t testing.TB, public string) setting {
	address := reservedHub(t).address
	return all(with("LODGE_PUBLIC_URL", public), func(l *lodge) { l.listen = address })
}

// admin runs a command on the site's data.
func (l *lodge) admin(command string, args ...string) outcome {
	l.t.Helper()
	all := append(strings.Fields(command), args...)
	return l.run(l.t, append(all, "--data", l.data)...)
}

// token makes a service token and gives whoever has it.
func (l *lodge) token(name string, args ...string) caller {
	l.t.Helper()
	token := l.admin("token create", append([]string{"--name", name}, args...)...).ok()
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
		l.t.Fatalf("lodge token create printed %q, not a token alone", token)
	}
	return l.as(token)
}

// analysis is a caller that is an analysis.
func (l *lodge) analysis(id string, claims ...string) caller {
	l.t.Helper()
	args := []string{"--claim", "client_id=" + id}
	for _, claim := range claims {
		args = append(args, "--claim", claim)
	}
	return l.token("analysis-"+id[:min(8, len(id))], args...)
}

// administrator is a caller who may do everything.
func (l *lodge) administrator() caller {
	l.t.Helper()
	return l.token("root", "--admin")
}
