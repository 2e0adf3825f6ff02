package results

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lodge/internal/fault"
	"lodge/internal/results/hub"
)

var errNoHub = fault.New(fault.Unavailable, "No hub is configured; intermediate results pass through one")

// nodeSecret is the key that this node shares with another.
func (s *Service) nodeSecret(ctx context.Context, node string) (key [32]byte, err error) {
	missing := fault.New(fault.Missing, "Remote node with ID %s does not exist.", node)
	id, ok := parseUUID(node)
	if !ok {
		return key, missing
	}
	n, err := s.hub.Node(ctx, id)
	s.link.note(s.now(), err)
	switch {
	case fault.Is(err, fault.Missing):
		return key, missing
	case err != nil:
		return key, hubFault(err)
	case n.PublicKey == "":
		return key, fault.New(fault.Invalid, "Remote node with ID %s does not provide a public key", node)
	case s.cfg.PrivateKey == nil:
		return key, fault.New(fault.Unavailable, "This node has no private key: set results.crypto.private_key or private_key_file")
	}
	public, err := parsePublicKey(n.PublicKey)
	if err == nil {
		key, err = nodeKey{s.cfg.PrivateKey}.sharedKey(public)
	}
	return key, fault.Wrap(err, fault.Upstream, "The public key of node %s is not usable: %v", node, err)
}

// putIntermediate sends a body to the hub, encrypted for the node if one is named, and gives the id by
// which every node finds it.
func (s *Service) putIntermediate(ctx context.Context, who actor, node *string, c content) (string, error) {
	if node != nil {
		key, err := s.nodeSecret(ctx, *node)
		if err != nil {
			return "", err
		}
		plain := c.open
		c.size = sealedSize(c.size)
		c.open = func() (io.Reader, error) {
			src, err := plain()
			if err != nil {
				return nil, err
			}
			return seal(key, src)
		}
	}
	f, err := s.sendNow(ctx, hub.Temp, who.analysis, c)
	if err != nil {
		return "", bucketMissing(err, hub.Temp, who.analysis)
	}
	return f.ID, s.recordSent(ctx, who, f, c)
}

// putLocalUpload sends a local result to another node, as putIntermediate does.
func (s *Service) putLocalUpload(ctx context.Context, id, node string) (string, error) {
	if s.hub == nil {
		return "", errNoHub
	}
	f, who, err := s.findLocal(ctx, Write, id, "")
	if err != nil {
		return "", err
	}
	if !who.isAnalysis {
		return "", fault.New(fault.Denied, "Only an analysis can send its project's results to another node")
	}
	body := s.objectReader(ctx, f)
	defer func() { _ = body.Close() }()
	object, err := s.putIntermediate(ctx, who, &node, content{
		filename: nameOr(f.Filename, id), contentType: octetStream, size: f.Size,
		open: func() (io.Reader, error) {
			_, err := body.Seek(0, io.SeekStart)
			return body, err
		},
	})
	if body.err != nil {
		return "", storeFault(body.err)
	}
	return object, err
}

// blob is an intermediate result that is ready to be read.
type blob struct {
	io.ReadCloser
	// size is -1 when the hub does not say.
	size int64
}

// getIntermediate opens an intermediate result: as it is on the hub, or decrypted under the key shared
// with the node. Of an encrypted one nothing is given out before all of it has proved to be authentic.
func (s *Service) getIntermediate(ctx context.Context, id string, node *string) (blob, error) {
	file, err := s.intermediateFile(ctx, id)
	if err != nil {
		return blob{}, err
	}
	if node == nil {
		body, err := s.hub.Stream(ctx, id)
		if err != nil {
			return blob{}, hubFault(err)
		}
		return blob{&exactReader{body: body, left: file.Size}, file.Size}, nil
	}
	key, err := s.nodeSecret(ctx, *node)
	if err != nil {
		return blob{}, err
	}
	sealed, err := s.spoolFromHub(ctx, id, file.Size)
	if err != nil {
		return blob{}, hubFault(err)
	}
	plain, size, err := open(key, sealed)
	if err != nil {
		err = errors.Join(err, sealed.Close())
		if errors.Is(err, errNotSealed) {
			return blob{}, fault.Wrap(err, fault.Invalid,
				"File with ID %s cannot be decrypted under the assumption that the file was encrypted by node %s for this node.", id, *node)
		}
		return blob{}, fmt.Errorf("decrypt: %w", err)
	}
	return blob{struct {
		io.Reader
		io.Closer
	}{plain, sealed}, size}, nil
}

// intermediateFile finds the hub's record of an intermediate result that the caller may read: one in
// the TEMP bucket of its own analysis, or of a project that a person may read.
func (s *Service) intermediateFile(ctx context.Context, id string) (hub.File, error) {
	missing := fault.New(fault.Missing, "Object with ID %s does not exist", id)
	who, err := s.identify(ctx)
	if err != nil {
		return hub.File{}, err
	}
	if s.hub == nil {
		return hub.File{}, errNoHub
	}
	file, err := s.hub.BucketFile(ctx, id)
	s.link.note(s.now(), err)
	if fault.Is(err, fault.Missing) {
		return hub.File{}, missing
	}
	if err != nil {
		return hub.File{}, hubFault(err)
	}
	if s.cfg.AnyoneReadsIntermediate && who.isAnalysis {
		return file, nil
	}
	owner, err := s.owners.get(ctx, file.BucketID, func(ctx context.Context) (hub.Bucket, error) {
		return s.hub.BucketOf(ctx, file.BucketID)
	})
	switch {
	case fault.Is(err, fault.Missing), err == nil && owner.Type != hub.Temp:
		return hub.File{}, missing
	case err != nil:
		return hub.File{}, hubFault(err)
	case who.isAnalysis && owner.AnalysisID == canonicalOr(who.analysis):
		return file, nil
	}
	project, err := s.projectOf(ctx, owner.AnalysisID)
	if err != nil {
		return hub.File{}, err
	}
	_, err = s.require(ctx, Read, project, "intermediate/"+id)
	return file, hide(err, "Object with ID %s does not exist", id)
}

// spoolFromHub fetches a whole file from the hub.
func (s *Service) spoolFromHub(ctx context.Context, id string, size int64) (*spool, error) {
	body, err := s.hub.Stream(ctx, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	sp := newSpool(s.cfg.TempDir)
	if err := sp.fill(&exactReader{body: body, left: size}); err != nil {
		return nil, errors.Join(err, sp.Close())
	}
	return sp, nil
}

// exactReader fails when a body of known length ends early: the hub does that without a sign.
type exactReader struct {
	body io.ReadCloser
	left int64 // negative: not known
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left < 0 {
		return e.body.Read(p)
	}
	n, err := e.body.Read(p)
	e.left -= int64(n)
	switch {
	case e.left < 0, err == io.EOF && e.left > 0:
		return 0, fault.New(fault.Upstream, "Hub returned an unexpected response (unknown)")
	}
	return n, err
}

func (e *exactReader) Close() error { return e.body.Close() }
