package lodge

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"lodge/internal/config"
	"lodge/internal/objects"
	"lodge/internal/objects/s3"
	"lodge/internal/results"
	"lodge/internal/results/hub"
)

// Parts are the names that `lodge serve` takes. Without any it serves all of them, each under its
// name; a single one stands at the root, where the service stood that it replaces.
func Parts() []string { return []string{"results"} }

// bucket is where files are kept, with its end.
type bucket struct {
	objects.Bucket
	close func() error
}

func openBucket(ctx context.Context, p *platform) (*bucket, error) {
	if p.cfg.Objects.Driver == "s3" {
		c := p.cfg.Objects.S3
		store, err := s3.Open(ctx, s3.Config{
			Endpoint: c.Endpoint, Bucket: c.Bucket, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey, UseTLS: c.UseTLS, CAFile: c.CAFile,
		}, p.log)
		if err != nil {
			return nil, err
		}
		return &bucket{store, func() error { return nil }}, nil
	}
	files, err := objects.OpenFiles(p.folder.path(objectsDir), p.log)
	if err != nil {
		return nil, err
	}
	return &bucket{files, files.Close}, nil
}

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

func openResults(p *platform, b *bucket, h *hub.Client, alone bool) (*results.Service, error) {
	c := p.cfg.Results
	prefix := "/results"
	if alone {
		prefix = ""
	}
	key, err := nodeKey(c.Crypto)
	if err != nil {
		return nil, err
	}
	return results.New(results.Config{
		Prefix: prefix, ClientIDClaim: c.ClientIDClaim, HubAdapterClientID: c.HubAdapterClientID,
		AnyoneReadsIntermediate: c.IntermediateAccess == "any", NoQueue: c.Queue == "off", UnauthenticatedStatus: c.UnauthenticatedStatus,
		MaxUploadSize: int64(c.MaxUploadSize), SyncTimeout: c.Hub.SyncTimeout, Retention: c.Retention, MaxSubmissions: c.DP.MaxSubmissions,
		PrivateKey: key, TempDir: p.folder.path(temporaryDir),
		Changed: func(topic, _, _ string) { p.publish("results." + topic) },
	}, p.db, b, p.queue, p.access, p.audit, h, p.now, p.log)
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

// checkParts refuses names that are no parts.
func checkParts(parts []string) error {
	for _, name := range parts {
		if !slices.Contains(Parts(), name) {
			return errors.New("there is no part " + name + ": choose of " + strings.Join(Parts(), ", "))
		}
	}
	return nil
}
