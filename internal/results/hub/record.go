package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// record is an object of the hub in any generation. Keys are asked for in snake_case and found in
// camelCase too, which generation c writes.
type record map[string]json.RawMessage

func (r record) raw(key string) (json.RawMessage, bool) {
	if v, ok := r[key]; ok {
		return v, true
	}
	v, ok := r[camel(key)]
	return v, ok
}

// has says whether the key is there, even with null.
func (r record) has(key string) bool { _, ok := r.raw(key); return ok }

// text is the string of the key; empty when it is null, absent or no string.
func (r record) text(key string) string {
	var s string
	if v, ok := r.raw(key); ok && json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// id is the UUID of the key; empty when there is none. What is no UUID never gets into a path.
func (r record) id(key string) string {
	id, ok := canonical(r.text(key))
	if !ok {
		return ""
	}
	return id
}

// number is the whole number of the key, or otherwise.
func (r record) number(key string, otherwise int64) int64 {
	n := json.Number("")
	if v, ok := r.raw(key); !ok || json.Unmarshal(v, &n) != nil {
		return otherwise
	}
	if i, err := n.Int64(); err == nil {
		return i
	}
	if f, err := n.Float64(); err == nil {
		return int64(f)
	}
	return otherwise
}

// isCamel says that the record was written by a hub of generation c.
func (r record) isCamel() bool {
	for key := range r {
		if strings.ToLower(key) != key {
			return true
		}
	}
	return false
}

// canonical gives the UUID in its usual spelling.
func canonical(id string) (string, bool) {
	u, err := uuid.Parse(id)
	return u.String(), err == nil
}

func camel(snake string) string {
	head, rest, found := strings.Cut(snake, "_")
	if !found || rest == "" {
		return snake
	}
	return head + strings.ToUpper(rest[:1]) + camel(rest[1:])
}

// readRecord reads an answer that is one record, bare or as generation c wraps it.
func readRecord(ctx context.Context, resp *http.Response) (record, error) {
	body, err := readAnswer(ctx, resp)
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(body, &r); err != nil || r == nil {
		return nil, unexpected(fmt.Errorf("the answer is no JSON object: %w", orNull(err)))
	}
	data, wrapped := r["data"]
	if _, meta := r["meta"]; !wrapped || !meta {
		return r, nil
	}
	var inner record
	if err := json.Unmarshal(data, &inner); err != nil || inner == nil {
		return nil, unexpected(fmt.Errorf("the answer's data is no JSON object: %w", orNull(err)))
	}
	return inner, nil
}

// page is one page of a list.
type page struct {
	Data []record `json:"data"`
	Meta struct {
		Total *int `json:"total"`
	} `json:"meta"`
}

// readPage reads an answer that is a list.
func readPage(ctx context.Context, resp *http.Response) (page, error) {
	body, err := readAnswer(ctx, resp)
	if err != nil {
		return page{}, err
	}
	var p page
	if err := json.Unmarshal(body, &p); err != nil || p.Data == nil {
		return page{}, unexpected(fmt.Errorf("the answer is no list: %w", orNull(err)))
	}
	return p, nil
}

func readAnswer(ctx context.Context, resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, failure(ctx, err)
	}
	if len(body) > maxAnswer {
		return nil, unexpected(fmt.Errorf("the answer is longer than %d bytes", maxAnswer))
	}
	return body, nil
}

func orNull(err error) error {
	if err == nil {
		return errors.New("it is null")
	}
	return err
}
