package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"lodge/internal/fault"
)

const (
	pageSize = 50
	// maxPages bounds the search in a list that the hub does not filter for us.
	maxPages = 40
)

var sentences = map[BucketType]string{
	Result: "Result bucket for analysis with ID %s was not found",
	Temp:   "Temp bucket for analysis with ID %s was not found",
}

// FindBucket finds the bucket of the type that the analysis has. None is fault.Missing.
func (c *Client) FindBucket(ctx context.Context, analysisID string, typ BucketType) (Bucket, error) {
	absent := fault.New(fault.Missing, sentences[typ], analysisID)
	id, ok := canonical(analysisID)
	if !ok {
		return Bucket{}, absent
	}
	found := Bucket{}
	err := c.list(ctx, c.core, "analysis-buckets", []filter{{"analysis_id", id}, {"type", string(typ)}}, func(r record) bool {
		// The hub ignores filters that it does not know: only what says that it is ours is ours.
		if r.id("analysis_id") == id && r.text("type") == string(typ) {
			found = c.bucket(r)
		}
		return false
	})
	if err != nil {
		return Bucket{}, err
	}
	if found.ID == "" {
		return Bucket{}, absent
	}
	return found, nil
}

// BucketOf finds the analysis bucket that the storage bucket belongs to. None is fault.Missing.
func (c *Client) BucketOf(ctx context.Context, storageBucketID string) (Bucket, error) {
	absent := fault.New(fault.Missing, "Bucket with ID %s was not found", storageBucketID)
	id, ok := canonical(storageBucketID)
	if !ok {
		return Bucket{}, absent
	}
	found := Bucket{}
	filters := []filter{{"external_id", id}, {"bucket_id", id}}
	err := c.list(ctx, c.core, "analysis-buckets", filters, func(r record) bool {
		if b := c.bucket(r); b.StorageID == id {
			found = b
		}
		return found.ID != ""
	})
	if err != nil {
		return Bucket{}, err
	}
	if found.ID == "" {
		return Bucket{}, absent
	}
	return found, nil
}

// bucket reads an analysis bucket. Until generation a the storage bucket is its external_id and
// uploads have to be linked; later it is its bucket_id and the hub links alone.
func (c *Client) bucket(r record) Bucket {
	b := Bucket{ID: r.id("id"), AnalysisID: r.id("analysis_id"), Type: BucketType(r.text("type"))}
	b.StorageID, b.LinkNeeded = r.id("external_id"), true
	if c.generation != "a" && r.has("bucket_id") {
		b.StorageID, b.LinkNeeded = r.id("bucket_id"), false
		c.linksItself.Store(true)
	}
	if c.generation == "b" || c.generation == "c" {
		b.LinkNeeded = false
	}
	return b
}

// Analysis gets an analysis; fault.Missing if the hub has none such.
func (c *Client) Analysis(ctx context.Context, id string) (Analysis, error) {
	r, err := c.one(ctx, "analyses", id, fmt.Sprintf("Analysis with ID %s not found", id))
	if err != nil {
		return Analysis{}, err
	}
	a := Analysis{ID: r.id("id"), ProjectID: r.id("project_id")}
	if a.ProjectID == "" {
		return Analysis{}, unexpected(errors.New("the analysis has no project_id"))
	}
	return a, nil
}

// Project gets a project; fault.Missing if the hub has none such.
func (c *Client) Project(ctx context.Context, id string) (Project, error) {
	r, err := c.one(ctx, "projects", id, fmt.Sprintf("Project with ID %s not found", id))
	if err != nil {
		return Project{}, err
	}
	return Project{ID: r.id("id")}, nil
}

// Node gets a node; fault.Missing if the hub has none such.
func (c *Client) Node(ctx context.Context, id string) (Node, error) {
	r, err := c.one(ctx, "nodes", id, fmt.Sprintf("Remote node with ID %s does not exist.", id))
	if err != nil {
		return Node{}, err
	}
	return node(r), nil
}

func node(r record) Node { return Node{ID: r.id("id"), PublicKey: r.text("public_key")} }

// one gets core's record of that id, and checks that it is that one.
func (c *Client) one(ctx context.Context, resource, id, absent string) (record, error) {
	clean, ok := canonical(id)
	if !ok {
		return nil, fault.New(fault.Missing, "%s", absent)
	}
	r, err := c.get(ctx, c.core.at(resource, clean), absent)
	if err != nil {
		return nil, err
	}
	if r.id("id") != clean {
		return nil, unexpected(fmt.Errorf("asked for %s %s, got %q", resource, clean, cut(r.text("id"), 60)))
	}
	return r, nil
}

// NodeByClientID finds the one node that logs in as the client; fault.Missing if there is none.
func (c *Client) NodeByClientID(ctx context.Context, clientID string) (Node, error) {
	var found []Node
	err := c.list(ctx, c.core, "nodes", []filter{{"client_id", clientID}}, func(r record) bool {
		if r.text("client_id") == clientID {
			found = append(found, node(r))
		}
		return len(found) > 1
	})
	switch {
	case err != nil:
		return Node{}, err
	case len(found) == 0 || clientID == "":
		return Node{}, fault.New(fault.Missing, "The hub has no node with client ID %s.", clientID)
	case len(found) > 1:
		return Node{}, unexpected(errors.New("several nodes have the same client id"))
	}
	return found[0], nil
}

// Link makes the file known to core as one of the analysis bucket's. Linking twice is no error: a
// link is looked for before it is made, because a hub that was cut off while answering has made it.
func (c *Client) Link(ctx context.Context, bucketID string, f File) error {
	if c.linksItself.Load() {
		return nil
	}
	done, err := c.linked(ctx, bucketID, f.ID)
	if done || (err != nil && !lacks(err)) {
		return err
	}
	// A hub that lets us link but not list has to be taken at its word.
	err = c.post(ctx, c.core.at("analysis-bucket-files"), map[string]any{
		"name": f.Name, "external_id": f.ID, "bucket_id": bucketID, "root": false,
	})
	if err == nil {
		return nil
	}
	if done, lookErr := c.linked(ctx, bucketID, f.ID); lookErr == nil && done {
		return nil
	}
	return err
}

func (c *Client) linked(ctx context.Context, bucketID, fileID string) (found bool, err error) {
	filters := []filter{{"bucket_id", bucketID}, {"external_id", fileID}}
	err = c.list(ctx, c.core, "analysis-bucket-files", filters, func(r record) bool {
		found = fileID != "" && (r.id("external_id") == fileID || r.id("bucket_file_id") == fileID)
		return found
	})
	return found, err
}

// Check says whether core and storage can be reached and accept our login.
func (c *Client) Check(ctx context.Context) error {
	for _, address := range []string{c.core.at("nodes"), c.storage.at("bucket-files")} {
		if _, err := c.page(ctx, address+"?page%5Blimit%5D=1"); err != nil && !lacks(err) {
			return err
		}
	}
	return nil
}

type filter struct{ key, value string }

// list walks a list in the hub's order until each returns true. In generation "auto" it asks again in
// the other spelling once an answer shows that the hub is of generation c.
func (c *Client) list(ctx context.Context, b base, resource string, filters []filter, each func(record) bool) error {
	for n := range maxPages {
		p, err := c.listPage(ctx, b, resource, filters, n)
		if err != nil {
			return err
		}
		for _, r := range p.Data {
			if each(r) {
				return nil
			}
		}
		if len(p.Data) < pageSize || (p.Meta.Total != nil && (n+1)*pageSize >= *p.Meta.Total) {
			return nil
		}
	}
	return unexpected(fmt.Errorf("the list of %s is longer than %d although it was filtered", resource, maxPages*pageSize))
}

func (c *Client) listPage(ctx context.Context, b base, resource string, filters []filter, n int) (page, error) {
	wasCamel := c.camel.Load()
	p, err := c.page(ctx, b.at(resource)+"?"+query(filters, n, wasCamel))
	if c.generation != "auto" || wasCamel {
		return p, err
	}
	if err == nil {
		for _, r := range p.Data {
			c.learn(r)
		}
		if !c.camel.Load() {
			return p, nil
		}
	} else if Status(err) != http.StatusBadRequest {
		return p, err
	}
	again, againErr := c.page(ctx, b.at(resource)+"?"+query(filters, n, true))
	if againErr != nil {
		if err == nil {
			err = againErr
		}
		return p, err // of a first refusal, not of what was only a guess
	}
	c.camel.Store(true)
	return again, nil
}

func (c *Client) learn(r record) {
	if c.generation == "auto" && !c.camel.Load() && r.isCamel() {
		c.camel.Store(true)
		c.linksItself.Store(true)
		c.log.Info("the hub is of generation c")
	}
}

func (c *Client) page(ctx context.Context, address string) (page, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errSlow)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, address, jsonHead(), nil)
	if err != nil {
		return page{}, err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return page{}, refused(resp).fault()
	}
	return readPage(ctx, resp)
}

func query(filters []filter, n int, inCamel bool) string {
	spell := func(key string) string {
		if inCamel {
			return camel(key)
		}
		return key
	}
	q := url.Values{
		"page[limit]":  {strconv.Itoa(pageSize)},
		"page[offset]": {strconv.Itoa(n * pageSize)},
	}
	for _, f := range filters {
		q.Set("filter["+spell(f.key)+"]", f.value)
	}
	return q.Encode()
}
