package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// Prepare implements apps.Driver: it fetches the image and looks whether it may run.
func (d *Driver) Prepare(ctx context.Context, s apps.Spec, report func(apps.Step)) error {
	switch {
	case s.Image == "":
		return fault.New(fault.Invalid, "the docker driver needs an image; this app has only a command")
	case s.Socket:
		return fault.New(fault.Invalid, "the docker driver reaches apps by a port, not by a socket")
	}
	found, err := d.engine.ImageInspect(ctx, s.Image)
	if errdefs.IsNotFound(err) && d.cfg.Pull == PullNever {
		return fault.New(fault.Missing, "the image %s is not there, and none is to be fetched", s.Image)
	}
	if errdefs.IsNotFound(err) || err == nil && d.cfg.Pull == PullAlways {
		if err := d.pull(ctx, s.Image, report); err != nil {
			return err
		}
		found, err = d.engine.ImageInspect(ctx, s.Image)
	}
	if err != nil {
		return plain(err, "look at the image "+s.Image)
	}
	if s.Security.RunAs == "image" && !s.Security.AllowRoot {
		user := ""
		if found.Config != nil {
			user = found.Config.User
		}
		if isRoot(user) {
			return fault.New(fault.Invalid, "the image %s would run as root: give security.run_as a number, or allow_root", s.Image)
		}
	}
	return nil
}

// Examine says, without fetching anything, whether an image could be run: fault.Missing if it is neither
// here nor in its registry, or not to be fetched. root says that its own user is root; of an image that is
// not here that is not known.
func (d *Driver) Examine(ctx context.Context, image string) (root bool, err error) {
	found, err := d.engine.ImageInspect(ctx, image)
	switch {
	case err == nil:
		return found.Config == nil || isRoot(found.Config.User), nil
	case !errdefs.IsNotFound(err):
		return false, plain(err, "look at the image "+image)
	case d.cfg.Pull == PullNever:
		return false, fault.New(fault.Missing, "the image %s is not there, and none is to be fetched", image)
	}
	auth, err := d.auth(image)
	if err != nil {
		return false, err
	}
	if _, err := d.engine.DistributionInspect(ctx, image, client.DistributionInspectOptions{EncodedRegistryAuth: auth}); err != nil {
		return false, notPulled(image, err)
	}
	return false, nil
}

// isRoot reports whether an image's user is root, who is also nobody in particular.
func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "root" || strings.Trim(name, "0") == ""
}

// pull fetches an image and tells how far it is.
func (d *Driver) pull(ctx context.Context, image string, report func(apps.Step)) error {
	auth, err := d.auth(image)
	if err != nil {
		return err
	}
	pulling, err := d.engine.ImagePull(ctx, image, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return notPulled(image, err)
	}
	defer func() { _ = pulling.Close() }()
	done, total := map[string]int64{}, map[string]int64{}
	for m, err := range pulling.JSONMessages(ctx) {
		if err != nil {
			return notPulled(image, err)
		}
		if m.Error != nil {
			return notPulled(image, m.Error)
		}
		if m.Progress == nil || m.Progress.Total <= 0 || !strings.HasPrefix(m.Status, "Downloading") {
			continue
		}
		done[m.ID], total[m.ID] = m.Progress.Current, m.Progress.Total
		if report != nil {
			report(apps.Step{Name: "image", Message: "Fetching the image " + image, Done: sum(done), Total: sum(total)})
		}
	}
	return nil
}

func sum(of map[string]int64) (n int64) {
	for _, v := range of {
		n += v
	}
	return n
}

// notPulled tells an image that nobody has from one that could not be fetched now.
func notPulled(image string, err error) error {
	text := err.Error()
	for _, words := range []string{"not found", "manifest unknown", "access denied", "repository does not exist", "unauthorized", "invalid reference"} {
		if errdefs.IsNotFound(err) || strings.Contains(text, words) {
			return fault.Wrap(err, fault.Missing, "the registry has no image %s for us", image)
		}
	}
	return plain(err, "fetch the image "+image)
}

// auth is the login for an image's registry, as the engine wants it.
func (d *Driver) auth(image string) (string, error) {
	if d.cfg.AuthFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(d.cfg.AuthFile)
	if err != nil {
		return "", fmt.Errorf("the registries' logins: %w", err)
	}
	var file struct {
		Auths map[string]struct {
			Auth string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return "", fmt.Errorf("the registries' logins: %w", err)
	}
	registry := registryOf(image)
	one, ok := file.Auths[registry]
	if !ok {
		return "", nil
	}
	pair, err := base64.StdEncoding.DecodeString(one.Auth)
	if err != nil {
		return "", fmt.Errorf("the login for %s cannot be read", registry) // without its text
	}
	user, password, _ := strings.Cut(string(pair), ":")
	login, err := json.Marshal(map[string]string{"username": user, "password": password, "serveraddress": registry})
	return base64.URLEncoding.EncodeToString(login), err
}

// registryOf is the host that an image comes from.
func registryOf(image string) string {
	host, _, named := strings.Cut(image, "/")
	if named && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "https://index.docker.io/v1/"
}
