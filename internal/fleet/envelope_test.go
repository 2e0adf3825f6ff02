package fleet

import (
	"encoding/json"
	"testing"
)

func TestEnvelope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw, kind, data string
		ok              bool
	}{
		{`{"type":"a","data":{"b":[1,2,{"c":"}"}]}}`, `"a"`, `{"b":[1,2,{"c":"}"}]}`, true},
		{" {\n\"data\" : null , \"x\" : -1.5e3 ,\"type\" : 7 } \n", `7`, `null`, true},
		{`{"type":"q\"uote\\","data":{}}`, `"q\"uote\\"`, `{}`, true},
		{`{}`, ``, ``, true},
		{`{ }`, ``, ``, true},
		{``, ``, ``, false},
		{`[]`, ``, ``, false},
		{`{`, ``, ``, false},
		{`{"type"`, ``, ``, false},
		{`{"type":`, ``, ``, false},
		{`{"type":"a"`, ``, ``, false},
		{`{"type":"a",}`, ``, ``, false},
		{`{"type":"a"} x`, ``, ``, false},
		{`{"type":"a"}}`, ``, ``, false},
		{`{type:1}`, ``, ``, false},
		{`{"data":{"a":[}`, ``, ``, false},
		{`{"data":"unfinished}`, ``, ``, false},
	} {
		kind, data, ok := envelope([]byte(tt.raw))
		if ok != tt.ok || ok && (string(kind) != tt.kind || string(data) != tt.data) {
			t.Errorf("%s: %s, %s, %v", tt.raw, kind, data, ok)
		}
	}
}

// FuzzEnvelope compares with the standard library: what that reads is read alike.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"type":"a","data":{"b":[1,2,{"c":"}"}]}}`))
	f.Add([]byte(`{"data":"\\\"","type":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		kind, data, ok := envelope(raw)
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || fields == nil {
			return
		}
		if !ok || string(kind) != string(fields["type"]) || string(data) != string(fields["data"]) {
			t.Errorf("%q: %q %q %v, want %q %q", raw, kind, data, ok, fields["type"], fields["data"])
		}
	})
}
