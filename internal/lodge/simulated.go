package lodge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"lodge/internal/access"
	"lodge/internal/config"
	"lodge/internal/fault"
	"lodge/internal/fleet"
	"lodge/internal/identity"
	"lodge/internal/secret"
)

// simulatedSite is a building with robots in a process of its own, which speaks to the server as a
// real one does: through the adapter socket and rosbridge.
type simulatedSite struct {
	platform *platform
	server   string           // the fleet API's address
	listener *net.TCPListener // handed to the process, so that its address is known before it starts
	tokenID  string
	token    secret.String
}

// wantsSimulatedSite says whether one is to stand in for a building. A site that is meant in earnest
// has ROS or a database of its own, and no robots that are not there.
func wantsSimulatedSite(cfg *config.Loaded, allowed bool) bool {
	encrypted := cfg.TLS.CertFile != "" || len(cfg.TLS.ACME.Domains) > 0
	if !allowed || encrypted || cfg.Fleet.Rosbridge.URL != "" {
		return false
	}
	return cfg.Fleet.Simulator.Mode == "on" || cfg.Fleet.Simulator.Mode == "auto" && cfg.DatabaseURL == ""
}

// adapterRole is the role that fleet adapters and the dispatcher need.
const adapterRole access.Role = "fleet-adapter"

// Trouble and errands of the site, an hour: enough to see something, not too much to ignore.
const (
	siteTrouble = 2
	siteErrands = 20
	siteTokens  = 30 * 24 * time.Hour
)

func newSimulatedSite(ctx context.Context, p *platform, server string) (*simulatedSite, error) {
	ctx = (&Office{p}).as(ctx, "simulated site")
	_, err := p.access.CreateRole(ctx, adapterRole, "Fleet adapters and the dispatcher: report fleets and tasks")
	if err == nil {
		_, err = p.access.Permit(ctx, access.Grant{Role: adapterRole, Group: access.Everywhere, Action: fleet.Report})
	} else if fault.Is(err, fault.Conflict) {
		err = nil // it is there, with what its administrators let it do
	}
	if err != nil {
		return nil, fmt.Errorf("simulated site: %w", err)
	}
	token, jwt, err := p.identity.CreateToken(ctx, identity.TokenRequest{Name: "simulated site", Roles: []access.Role{adapterRole}, TTL: siteTokens})
	if err != nil {
		return nil, fmt.Errorf("simulated site: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("simulated site: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.New("simulated site: no TCP")
	}
	return &simulatedSite{platform: p, server: server, listener: tcp, tokenID: token.ID, token: jwt}, nil
}

// bridge is the address of its rosbridge.
func (s *simulatedSite) bridge() string { return "ws://" + s.listener.Addr().String() }

// run keeps the process running until ctx ends. The site is a stand-in: that it fails is told, and
// stops nobody.
func (s *simulatedSite) run(ctx context.Context) error {
	for {
		err := s.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		s.platform.log.Warn("the simulated site ended; it is started again", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}

// once runs the process once. It ends with ctx, and when this process does, however that ends: then
// its standard input closes.
func (s *simulatedSite) once(ctx context.Context) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	socket, err := s.listener.File()
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	c := s.platform.cfg.Fleet.Simulator
	args := []string{
		"simulate", "site", "--inherited", "--lodge", s.server + "/", "--robots", strconv.Itoa(c.Robots), "--speed", strconv.Itoa(c.Speed),
		"--trouble", strconv.Itoa(siteTrouble), "--errands", strconv.Itoa(siteErrands),
	}
	command := exec.CommandContext(ctx, binary, args...) //nolint:gosec // this very program, with arguments of our own
	command.Env = append(os.Environ(), "LODGE_TOKEN="+s.token.Reveal())
	command.ExtraFiles = []*os.File{socket}
	command.Stderr = os.Stderr
	command.WaitDelay = 5 * time.Second
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	// The end of its input is the kinder signal, and the one that survives us.
	command.Cancel = func() error { return errors.Join(input.Close(), command.Process.Signal(os.Interrupt)) }
	command.Stdout = io.Discard
	return command.Run()
}

// close takes the token back.
func (s *simulatedSite) close() error {
	ctx := (&Office{s.platform}).as(context.Background(), "simulated site")
	return errors.Join(s.listener.Close(), s.platform.identity.RevokeToken(ctx, s.tokenID))
}
