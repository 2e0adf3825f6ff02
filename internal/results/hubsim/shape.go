package hubsim

import (
	"encoding/json"
	"net/http"
)

// storageKey is how an analysis bucket names its storage bucket.
func (s *Sim) storageKey() string {
	if s.opts.Generation == "a" {
		return "external_id"
	}
	return "bucket_id"
}

func (s *Sim) inCamel() bool { return s.opts.Generation == "c" }

// linksItself says that uploads are linked by the hub and must not be by the client.
func (s *Sim) linksItself() bool { return s.opts.Generation != "a" }

// one writes a record: bare, or in generation c in camelCase and wrapped.
func (s *Sim) one(w http.ResponseWriter, status int, v map[string]any) {
	if s.inCamel() {
		writeJSON(w, status, map[string]any{"data": camelKeys(v), "meta": map[string]any{}})
		return
	}
	writeJSON(w, status, v)
}

func (s *Sim) list(w http.ResponseWriter, status int, rows []map[string]any, total, limit, offset int) {
	data := make([]any, len(rows))
	for i, v := range rows {
		data[i] = v
		if s.inCamel() {
			data[i] = camelKeys(v)
		}
	}
	writeJSON(w, status, map[string]any{
		"data": data, "meta": map[string]any{"total": total, "limit": limit, "offset": offset},
	})
}

// refuse writes an error as the hub does.
func (s *Sim) refuse(w http.ResponseWriter, status int, code, message string) {
	if s.inCamel() {
		writeJSON(w, status, map[string]any{"code": code, "message": message, "issues": []any{}})
		return
	}
	writeJSON(w, status, map[string]any{"statusCode": status, "code": code, "message": message})
}

func camelKeys(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for key, value := range v {
		if inner, ok := value.(map[string]any); ok {
			value = camelKeys(inner)
		}
		out[camel(key)] = value
	}
	return out
}

// snakeKeys reads what a client of generation c sends.
func snakeKeys(v map[string]any) map[string]any {
	out := make(map[string]any, len(v))
	for key, value := range v {
		out[snake(key)] = value
	}
	return out
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own maps of plain values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
