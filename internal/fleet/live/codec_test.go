package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		want       []packet
		err        error
	}{
		{"one", "4hi", []packet{{kind: '4', data: []byte("hi")}}, nil},
		{"several", "3\x1e40\x1e1", []packet{{kind: '3'}, {kind: '4', data: []byte("0")}, {kind: '1'}}, nil},
		{"binary", "4x\x1ebAQID", []packet{{kind: '4', data: []byte("x")}, {kind: '4', data: []byte{1, 2, 3}, binary: true}}, nil},
		{"empty binary", "b", []packet{{kind: '4', binary: true}}, nil},
		{"nothing", "", nil, errEmptyPacket},
		{"empty packet inside", "3\x1e\x1e3", []packet{{kind: '3'}}, errEmptyPacket},
		{"separator at the end", "3\x1e", []packet{{kind: '3'}}, errEmptyPacket},
		{"unknown type", "7", nil, errUnknownPacket},
		{"a letter", "x", nil, errUnknownPacket},
		{"bad base64", "b!!", nil, errBadBase64},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []packet
			var last error
			for p, err := range parsePayload([]byte(c.body)) {
				if last = err; err == nil {
					got = append(got, p)
				}
			}
			if !errors.Is(last, c.err) || len(got) != len(c.want) {
				t.Fatalf("got %v, %v; want %v, %v", got, last, c.want, c.err)
			}
			for i := range got {
				if got[i].kind != c.want[i].kind || got[i].binary != c.want[i].binary || !bytes.Equal(got[i].data, c.want[i].data) {
					t.Errorf("packet %d is %v, want %v", i, got[i], c.want[i])
				}
			}
		})
	}
}

func TestSocketPacket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want socketPacket
		ok   bool
	}{
		{`0`, socketPacket{kind: '0', namespace: "/"}, true},
		{`0{"token":"x"}`, socketPacket{kind: '0', namespace: "/", data: []byte(`{"token":"x"}`)}, true},
		{`0/admin,{"a":1}`, socketPacket{kind: '0', namespace: "/admin", data: []byte(`{"a":1}`)}, true},
		{`0/admin?x=1,`, socketPacket{kind: '0', namespace: "/admin"}, true},
		{`0/admin`, socketPacket{kind: '0', namespace: "/admin"}, true},
		{`212["a"]`, socketPacket{kind: '2', namespace: "/", ack: "12", data: []byte(`["a"]`)}, true},
		{`2/n,7["a"]`, socketPacket{kind: '2', namespace: "/n", ack: "7", data: []byte(`["a"]`)}, true},
		{`51-["a",{"_placeholder":true,"num":0}]`, socketPacket{kind: '5', attachments: 1, namespace: "/", data: []byte(`["a",{"_placeholder":true,"num":0}]`)}, true},
		{`52-/n,3["a"]`, socketPacket{kind: '5', attachments: 2, namespace: "/n", ack: "3", data: []byte(`["a"]`)}, true},
		{``, socketPacket{}, false},
		{`7`, socketPacket{}, false},
		{`2[`, socketPacket{}, false},
		{`2["a"]x`, socketPacket{}, false},
		{`5["a"]`, socketPacket{}, false},
		{`5-["a"]`, socketPacket{}, false},
		{`51["a"]`, socketPacket{}, false},
		{`511-["a"]`, socketPacket{}, false},
		{`599999999999999999999-["a"]`, socketPacket{}, false},
		{`212345678901234567["a"]`, socketPacket{}, false},
		{`0/` + strings.Repeat("n", 300) + `,`, socketPacket{}, false},
	} {
		got, err := parseSocket([]byte(c.in))
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, want ok %v", c.in, err, c.ok)
			continue
		}
		if got.kind != c.want.kind || got.attachments != c.want.attachments || got.namespace != c.want.namespace ||
			got.ack != c.want.ack || !bytes.Equal(got.data, c.want.data) {
			t.Errorf("%s: got %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestEventOf(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		`["subscribe",{"room":"x"}]`: true, `["x"]`: true, `[]`: false, `[1]`: false, `{}`: false, `"x"`: false, ``: false, `null`: false,
	} {
		if _, _, err := (socketPacket{data: []byte(in)}).event(); (err == nil) != ok {
			t.Errorf("%s: %v, want ok %v", in, err, ok)
		}
	}
}

func TestUnquote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/doors/a%20b/state": "/doors/a b/state", "/a%2Fb": "/a/b", "/100%": "/100%", "/%zz": "/%zz", "/%4": "/%4",
		"/%E2%82%AC": "/€", "/%ff": "/\uFFFD", "/%2": "/%2", "%41%": "A%",
	} {
		if got := unquote(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestMessageSurvivesBadData(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1}`: `42["/r",{"a":1}]`, "": `42["/r",null]`, "\"a\xffb\"": "42[\"/r\",\"a\uFFFDb\"]", "\"a\x1eb\"": `42["/r","a b"]`,
	} {
		m := newEvent("/r", "", json.RawMessage(in))
		if string(m.packet) != want {
			t.Errorf("%q: got %q, want %q", in, m.packet, want)
		}
	}
	for _, size := range []int{0, 125, 126, 65535, 65536} {
		m := newPacket(strings.Repeat("x", size))
		if len(m.packet) != size || m.frame[0] != 0x81 {
			t.Errorf("size %d: packet of %d", size, len(m.packet))
		}
	}
}

func FuzzEngine(f *testing.F) {
	for _, seed := range []string{"2probe", "3\x1e4hello\x1ebAQID", "", "\x1e", "b", "b!", "9", "40{\"token\":\"x\"}\x1e3"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var again []byte
		failed := false
		for p, err := range parsePayload(body) {
			if failed {
				t.Fatal("goes on after an error")
			}
			if err != nil {
				failed = true
				continue
			}
			if p.binary && p.kind != engineMessage || p.kind < engineOpen || p.kind > engineNoop {
				t.Fatalf("made %+v", p)
			}
			if bytes.IndexByte(p.data, separator) >= 0 && !p.binary {
				t.Fatalf("separator within %q", p.data)
			}
			if !p.binary {
				again = append(append(append(again, p.kind), p.data...), separator)
			}
		}
		if !failed && bytes.IndexByte(body, 'b') < 0 && !bytes.Equal(bytes.TrimSuffix(again, []byte{separator}), body) {
			t.Fatalf("read %q, that is %q", body, again)
		}
	})
}

func FuzzSocket(f *testing.F) {
	for _, seed := range []string{
		`0`, `0{"token":"x"}`, `0/admin,{}`, `2["subscribe",{"room":"/a%20b"}]`, `212["unsubscribe",{"room":1}]`,
		`51-["a",{"_placeholder":true,"num":0}]`, `61-1[]`, `1`, `4{"message":"x"}`, `2/n?q,3["a"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := parseSocket(in)
		if err != nil {
			return
		}
		if s.attachments > maxAttachments || len(s.ack) > maxAckDigits || len(s.namespace) > 3*maxNamespace || !utf8.ValidString(s.namespace) {
			t.Fatalf("out of bounds: %+v", s)
		}
		if len(s.data) > 0 && !json.Valid(s.data) {
			t.Fatalf("%q is not JSON", s.data)
		}
		_, argument, err := s.event()
		if err != nil {
			return
		}
		room, ok := roomOf(argument)
		if !ok {
			return
		}
		if m := newEvent(room, "", json.RawMessage("{}")); !json.Valid(m.packet[2:]) || bytes.IndexByte(m.packet, separator) >= 0 {
			t.Fatalf("event of room %q is %q", room, m.packet)
		}
	})
}
