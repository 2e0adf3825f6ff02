package lodge

import (
	"crypto/ecdh"
	"fmt"
	"os"
	"strings"

	"lodge/internal/config"
	"lodge/internal/httpapi"
	"lodge/internal/results"
	"lodge/internal/results/hub"
)

// openHub makes the client of the hub; nil when none is configured.
func openHub(p *platform) (*hub.Client, error) {
	c := p.cfg.Results.Hub
	if !c.Configured() {
		return nil, nil //nolint:nilnil // a site without a hub is a site like any other
	}
	base := strings.TrimRight(c.URL, "/")
	address := func(own, below string) string {
		if own != "" || base == "" {
			return own
		}
		return base + below
	}
	return hub.New(hub.Config{
		CoreURL: address(c.CoreURL, "/core"), StorageURL: address(c.StorageURL, "/storage"), AuthURL: address(c.AuthURL, "/auth"),
		Flow: c.Flow, ID: c.ID, Secret: c.Secret, Username: c.Username, Password: c.Password, Generation: c.Generation,
		Timeout: c.Timeout, ProxyHTTP: c.ProxyHTTP, ProxyHTTPS: c.ProxyHTTPS, NoProxy: c.NoProxy, CAFile: c.CAFile,
	}, p.now, p.log)
}

// resultsPart is the results part with its way to the hub.
type resultsPart struct {
	*results.Service
	hub *hub.Client // nil without a hub
}

func openResults(p *platform, b *bucket, prefix string) (_ part, err error) {
	c := p.cfg.Results
	key, err := nodeKey(c.Crypto)
	if err != nil {
		return nil, err
	}
	r := &resultsPart{}
	if r.hub, err = openHub(p); err != nil {
		return nil, err
	}
	r.Service, err = results.New(results.Config{
		Prefix: prefix, ClientIDClaim: c.ClientIDClaim, HubAdapterClientID: c.HubAdapterClientID,
		AnyoneReadsIntermediate: c.IntermediateAccess == "any", NoQueue: c.Queue == "off", UnauthenticatedStatus: c.UnauthenticatedStatus,
		MaxUploadSize: int64(c.MaxUploadSize), SyncTimeout: c.Hub.SyncTimeout, Retention: c.Retention, MaxSubmissions: c.DP.MaxSubmissions,
		PrivateKey: key, TempDir: p.folder.path(temporaryDir),
		Changed: func(topic, _, _ string) { p.publish("results." + topic) },
	}, p.db, b, p.queue, p.access, p.audit, r.hub, p.now, p.log)
	return r, err
}

func (r *resultsPart) depend(checks *httpapi.Checks) { checks.Watch("hub", r.CheckHub) }

func (r *resultsPart) beside(*httpapi.Server) error { return nil }

func (r *resultsPart) drain() {}

func (r *resultsPart) close() error {
	if r.hub != nil {
		r.hub.Close()
	}
	return nil
}

// nodeKey reads this node's private key; nil when there is none.
func nodeKey(c config.Crypto) (*ecdh.PrivateKey, error) {
	text, where := c.PrivateKey.Reveal(), "results.crypto.private_key"
	if c.PrivateKeyFile != "" {
		file, err := os.ReadFile(c.PrivateKeyFile)
		if err != nil {
			return nil, fmt.Errorf("results.crypto.private_key_file: %w", err)
		}
		text, where = string(file), "results.crypto.private_key_file"
	}
	if text == "" {
		return nil, nil //nolint:nilnil // a node without a key takes part in everything but encryption
	}
	key, err := results.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return key, nil
}
