package process

import "testing"

func TestMoves(t *testing.T) {
	t.Parallel()
	m := newMoves("/s/root")
	m.add("/tmp/o", "")
	m.add("/tmp/o.txt", "")
	m.add("/artifacts/f", "")
	m.add("/data", "/volumes/d")
	m.add("relative", "")
	m.add("/", "")
	for text, want := range map[string]string{
		"/tmp/o": "/s/root/tmp/o", "/tmp/o.txt": "/s/root/tmp/o.txt", "/tmp/other": "/tmp/other", "/tmp/o/inside": "/s/root/tmp/o/inside",
		"echo x >/tmp/o; cat /tmp/o.txt": "echo x >/s/root/tmp/o; cat /s/root/tmp/o.txt", "--out=/tmp/o": "--out=/s/root/tmp/o", "@/artifacts/f;": "@/s/root/artifacts/f;",
		"/data/x:/data": "/volumes/d/x:/volumes/d", "./tmp/o": "./tmp/o", "/x/tmp/o": "/x/tmp/o", "http://tmp/o": "http://tmp/o", "//data": "//data", "/database": "/database",
		"relative": "relative", "/": "/", "": "", "é/data": "é/data",
	} {
		if got := m.in(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
