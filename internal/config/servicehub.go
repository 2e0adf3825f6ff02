package config

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lodge/internal/apps"
)

// siteServiceHub is the file that ServiceHub reads before the one that it is given.
const siteServiceHub = "/etc/servicehub.conf"

// loadServiceHub takes a ServiceHub's configuration over: its apps, how long they may idle, and what
// its Apache did, which is to say who calls. Whatever else is configured wins.
func (l *loader) loadServiceHub(file string) {
	var texts [][]byte
	for _, name := range []string{siteServiceHub, file} {
		text, err := os.ReadFile(name)
		switch {
		case err == nil:
			texts = append(texts, text)
		case name == file || !errors.Is(err, os.ErrNotExist):
			l.fail("%s: %w", name, err)
			return
		}
	}
	hub, err := apps.ParseServiceHub(texts...)
	if err != nil {
		l.fail("%s: %w", file, err)
		return
	}
	from := Source(filepath.Base(file))
	catalogue, err := json.Marshal(hub.Apps)
	if err != nil {
		l.fail("%s: %w", file, err)
		return
	}
	values := map[string]string{
		"apps.catalogue":               string(catalogue),
		"apps.driver":                  "docker",
		"identity.trusted_header.name": "userid",
	}
	if hub.LogLevel != "" {
		values["log.level"] = hub.LogLevel
	}
	if len(hub.Apps) == 1 {
		values["apps.routing"], values["apps.default_app"] = "alone", string(hub.Apps[0].ID)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		l.set(key, values[key], from)
	}
	l.Notices = append(l.Notices, hub.Notices...)
}

// trustServiceHubsProxy lets the proxies that are trusted anyway say who calls, as ServiceHub's did,
// or one on this machine.
func (l *loader) trustServiceHubsProxy() {
	header := &l.Identity.TrustedHeader
	if header.Name == "" || len(header.Proxies) > 0 {
		return
	}
	proxies := "127.0.0.0/8, ::1"
	if list := l.HTTP.TrustedProxies; len(list) > 0 {
		proxies = strings.Join(list, ", ")
	}
	l.set("identity.trusted_header.proxies", proxies, "http.trusted_proxies")
}
