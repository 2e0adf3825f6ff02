package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds every answer that is not a file: a page of fifty records is far below it.
const maxAnswer = 4 << 20

// send makes one authorised request and gives the answer, whatever its status. A refused token is
// replaced once; body makes the body for each of the two attempts and may be nil.
func (c *Client) send(ctx context.Context, method, address string, head http.Header, body func() io.Reader) (*http.Response, error) {
	refusedToken := ""
	for {
		token, err := c.tokens.get(ctx, refusedToken)
		if err != nil {
			return nil, err
		}
		var r io.Reader
		if body != nil {
			r = body()
		}
		req, err := http.NewRequestWithContext(ctx, method, address, r)
		if err != nil {
			return nil, fmt.Errorf("make a request to the hub: %w", err)
		}
		for k, v := range head {
			req.Header[k] = v
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, failure(ctx, err)
		}
		if resp.StatusCode != http.StatusUnauthorized || refusedToken != "" {
			return resp, nil
		}
		drain(resp)
		refusedToken = token
	}
}

// get reads one record; a 404 is fault.Missing with the sentence that absent gives.
func (c *Client) get(ctx context.Context, address, absent string) (record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errSlow)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, address, jsonHead(), nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusNotFound {
		return nil, missing(resp, absent)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refused(resp).fault()
	}
	r, err := readRecord(ctx, resp)
	if err != nil {
		return nil, err
	}
	c.learn(r)
	return r, nil
}

// post creates something; its answer's content does not matter.
func (c *Client) post(ctx context.Context, address string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a request to the hub: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errSlow)
	defer cancel()
	head := jsonHead()
	head.Set("Content-Type", "application/json")
	resp, err := c.send(ctx, http.MethodPost, address, head, func() io.Reader { return bytes.NewReader(body) })
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode/100 != 2 {
		return refused(resp).fault()
	}
	return nil
}

func jsonHead() http.Header { return http.Header{"Accept": {"application/json"}} }

// drain reads a little of what is left, so that the connection can be used again, and closes.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}
