package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// JSON answers with v as compact JSON, compressed if it is long and the client understands that.
// Nothing was written when it returns an encoding error.
func JSON(w http.ResponseWriter, status int, v any) error {
	buf := bytes.NewBuffer(make([]byte, 0, 512))
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return writeJSON(w, status, bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}

// JSONText answers with text, which is compact JSON already.
func JSONText(w http.ResponseWriter, status int, text []byte) error {
	return writeJSON(w, status, text)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	if rw, ok := w.(*responseWriter); ok && len(body) >= compressMin {
		h.Add("Vary", "Accept-Encoding")
		var coding string
		if body, coding = rw.compress.pack(rw.accept, body); coding != "" {
			h.Set("Content-Encoding", coding)
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// NoContent answers 204.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Created answers 201 with v as JSON and the address of what came to be.
func Created(w http.ResponseWriter, location string, v any) error {
	if location != "" {
		w.Header().Set("Location", location)
	}
	return JSON(w, http.StatusCreated, v)
}

// PageQuery is which part of a list the caller wants; embed it in request structs.
type PageQuery struct {
	Limit  int `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"How many items to answer at most"`
	Offset int `query:"offset" minimum:"0" default:"0" doc:"How many items to leave out first"`
}

// Page is one part of a list.
type Page[T any] struct {
	Items  []T   `json:"items" nullable:"false"`
	Total  int64 `json:"total" doc:"How many items there are in all"`
	Limit  int   `json:"limit"`
	Offset int   `json:"offset"`
}

// NewPage makes the page that q asked for; an empty one has an empty list, not null.
func NewPage[T any](q PageQuery, items []T, total int64) Page[T] {
	if items == nil {
		items = []T{}
	}
	return Page[T]{Items: items, Total: total, Limit: q.Limit, Offset: q.Offset}
}
