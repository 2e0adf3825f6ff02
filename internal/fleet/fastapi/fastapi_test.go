package fastapi

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lodge/internal/fault"
)

type inner struct {
	N int64 `json:"n" minimum:"0"`
}

type body struct {
	Name   string           `json:"name"`
	Kind   string           `json:"kind" enum:"a,b,c" required:"false"`
	Type   string           `json:"type" enum:"x" required:"false"`
	Mode   uint32           `json:"mode" required:"false"`
	Small  uint8            `json:"small" required:"false"`
	Rate   Float            `json:"rate" required:"false"`
	On     bool             `json:"on" required:"false"`
	Task   *string          `json:"task" required:"false"`
	Note   *string          `json:"note"`
	List   []string         `json:"list" required:"false"`
	Some   []string         `json:"some" required:"false" minItems:"1"`
	Inner  *inner           `json:"inner" required:"false"`
	Map    map[string]inner `json:"map" required:"false"`
	Object Object           `json:"object" required:"false"`
	Free   json.RawMessage  `json:"free" required:"false"`
	At     *time.Time       `json:"at" required:"false"`
	Above  int64            `json:"above" required:"false" exclusiveMinimum:"0"`
}

type request struct {
	Limit  int     `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Online bool    `query:"online" required:"true"`
	ID     int64   `path:"id"`
	Text   *string `query:"text"`
	Body   body
}

// TestFindings has the words of the contract.
func TestFindings(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"missing", `{"note":null}`, `[{"type":"missing","loc":["body","name"],"msg":"Field required","input":{"note":null}}]`},
		{"no body", ``, `[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]`},
		{"null body", `null`, `[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]`},
		{"a list", `[]`, `[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[]}]`},
		{"text", `{"name":1}`, `[{"type":"string_type","loc":["body","name"],"msg":"Input should be a valid string","input":1}]`},
		{"enum", `{"kind":"z"}`, `[{"type":"enum","loc":["body","kind"],"msg":"Input should be 'a', 'b' or 'c'","input":"z","ctx":{"expected":"'a', 'b' or 'c'"}}]`},
		{"literal", `{"type":"y"}`, `[{"type":"literal_error","loc":["body","type"],"msg":"Input should be 'x'","input":"y","ctx":{"expected":"'x'"}}]`},
		{"int", `{"mode":"q"}`, `[{"type":"int_parsing","loc":["body","mode"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"q"}]`},
		{"int of a list", `{"mode":[]}`, `[{"type":"int_type","loc":["body","mode"],"msg":"Input should be a valid integer","input":[]}]`},
		{"fraction", `{"mode":1.5}`, `[{"type":"int_from_float","loc":["body","mode"],"msg":"Input should be a valid integer, got a number with a fractional part","input":1.5}]`},
		{"too large", `{"mode":4294967296}`, `[{"type":"less_than_equal","loc":["body","mode"],"msg":"Input should be less than or equal to 4294967295","input":4294967296,"ctx":{"le":4294967295}}]`},
		{"too small", `{"small":-1}`, `[{"type":"greater_than_equal","loc":["body","small"],"msg":"Input should be greater than or equal to 0","input":-1,"ctx":{"ge":0}}]`},
		{"not above", `{"above":0}`, `[{"type":"greater_than","loc":["body","above"],"msg":"Input should be greater than 0","input":0,"ctx":{"gt":0}}]`},
		{"boolean", `{"on":"maybe"}`, `[{"type":"bool_parsing","loc":["body","on"],"msg":"Input should be a valid boolean, unable to interpret input","input":"maybe"}]`},
		{"list", `{"list":{}}`, `[{"type":"list_type","loc":["body","list"],"msg":"Input should be a valid list","input":{}}]`},
		{"item", `{"list":["a",2]}`, `[{"type":"string_type","loc":["body","list",1],"msg":"Input should be a valid string","input":2}]`},
		{"too short", `{"some":[]}`, `[{"type":"too_short","loc":["body","some"],"msg":"List should have at least 1 item after validation, not 0","input":[],"ctx":{"actual_length":0,"field_type":"List","min_length":1}}]`},
		{"dictionary", `{"object":[]}`, `[{"type":"dict_type","loc":["body","object"],"msg":"Input should be a valid dictionary","input":[]}]`},
		{"nested", `{"map":{"k":{"n":-1}}}`, `[{"type":"greater_than_equal","loc":["body","map","k","n"],"msg":"Input should be greater than or equal to 0","input":-1,"ctx":{"ge":0}}]`},
		{"nested model", `{"inner":7}`, `[{"type":"model_attributes_type","loc":["body","inner"],"msg":"Input should be a valid dictionary or object to extract fields from","input":7}]`},
		{"time", `{"at":"soon"}`, `[{"type":"datetime_from_date_parsing","loc":["body","at"],"msg":"Input should be a valid datetime or date, input is too short","input":"soon","ctx":{"error":"input is too short"}}]`},
		{"json", `{"name":`, `[{"type":"json_invalid","loc":["body",7],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]`},
	}
	for _, tt := range tests {
		// Cases that are not about the required fields bring them.
		text := tt.body
		if strings.HasPrefix(text, `{"`) && !strings.Contains(text, `"name"`) && tt.name != "missing" {
			text = `{"name":"n","note":null,` + text[1:]
		} else if tt.name == "text" {
			text = `{"note":"",` + text[1:]
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/1?online=1", strings.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		r.SetPathValue("id", "1")
		_, err := Read[request](r)
		var found Findings
		if !errors.As(err, &found) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got, _ := JSON(found); string(got) != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	type params struct {
		ID     int64      `path:"id"`
		Limit  int        `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		Online bool       `query:"online" required:"true"`
		Text   *string    `query:"text"`
		At     *time.Time `query:"at"`
	}
	read := func(id, query string) (params, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query, nil)
		r.SetPathValue("id", id)
		p, err := Read[params](r)
		if err == nil {
			return p, ""
		}
		text, _ := JSON(err)
		return p, string(text)
	}
	p, bad := read("7", "online=YES&limit=5&limit=6&text=a%26b&at=2030-01-01")
	if bad != "" || p.ID != 7 || !p.Online || p.Limit != 6 || *p.Text != "a&b" || !p.At.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v %s", p, bad)
	}
	if p, _ := read("7", "online=off"); p.Limit != 100 || p.Online || p.Text != nil {
		t.Errorf("%+v", p)
	}
	// In the order of declaration, all at once.
	want := `[{"type":"int_parsing","loc":["path","id"],"msg":"Input should be a valid integer, unable to parse string as an integer","input":"x"},` +
		`{"type":"less_than_equal","loc":["query","limit"],"msg":"Input should be less than or equal to 1000","input":"1001","ctx":{"le":1000}},` +
		`{"type":"missing","loc":["query","online"],"msg":"Field required","input":null}]`
	if _, bad := read("x", "limit=1001"); bad != want {
		t.Errorf("\n got %s\nwant %s", bad, want)
	}
}

func TestCoercions(t *testing.T) {
	t.Parallel()
	var b body
	raw := `{"name":"n","note":null,"mode":"4","small":3.0,"rate":"1.5","on":1,"task":"t","inner":{"n":"7","more":1},"free":{"b": [1 , null],"a":2},"at":1893456000000,"unknown":1}`
	if found := Unmarshal([]byte(raw), &b); found != nil {
		t.Fatal(found)
	}
	if b.Mode != 4 || b.Small != 3 || b.Rate != 1.5 || !b.On || *b.Task != "t" || b.Note != nil || b.Inner.N != 7 || b.At.Year() != 2030 {
		t.Errorf("%+v", b)
	}
	got, err := Dump(b)
	want := `{"name":"n","kind":"","type":"","mode":4,"small":3,"rate":1.5,"on":true,"task":"t","inner":{"n":7},"free":{"b":[1,null],"a":2},"at":"2030-01-01T00:00:00Z","above":0}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestFloat(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]string{0: "0.0", 1: "1.0", -2.5: "-2.5", 1e-7: "1e-07", 123456789: "123456789.0", math.Inf(1): "null"} {
		if got, err := json.Marshal(Float(f)); err != nil || string(got) != want {
			t.Errorf("%v: %s %v", f, got, err)
		}
	}
	var f Float = 3
	if err := json.Unmarshal([]byte("null"), &f); err != nil || f != 0 {
		t.Errorf("null is %v %v", f, err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2030-01-01T20:00:00Z": "2030-01-01T20:00:00Z", "2030-01-01 20:00+08:00": "2030-01-01T12:00:00Z", "2030-01-01T20:00:00.5": "2030-01-01T20:00:00.5Z",
		"1893456000": "2030-01-01T00:00:00Z", "2030-13-01": "month value is outside expected range of 1-12", "2030-02-30": "day value is outside expected range",
		"abcd-01-01": "invalid character in year", "2030-01-01T25:00": "hour value is outside expected range of 0-23", "2030-01-01X10:00": "invalid datetime separator, expected `T`, `t`, `_` or space",
	} {
		at, reason := ParseTime(text)
		got := reason
		if reason == "" {
			got = at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	type leaf struct {
		Names []string `json:"names"`
	}
	v := struct {
		Leaves   []leaf `json:"leaves"`
		Optional []leaf `json:"optional" required:"false"`
	}{Leaves: []leaf{{}}}
	Complete(&v)
	if got, _ := JSON(v); string(got) != `{"leaves":[{"names":[]}],"optional":null}` {
		t.Errorf("%s", got)
	}
}

func TestDeepBodies(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"free":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`}`))
	r.Header.Set("Content-Type", "application/json")
	if _, err := Read[struct{ Body body }](r); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
