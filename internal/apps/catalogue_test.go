package apps

import (
	"os"
	"strings"
	"testing"
	"time"

	"lodge/internal/access"
)

func mustParse(t testing.TB, yaml string) App {
	t.Helper()
	list, err := ParseCatalogue([]byte(yaml))
	noError(t, err)
	if len(list) != 1 {
		t.Fatalf("%d entries", len(list))
	}
	return list[0]
}

func TestParseCatalogue(t *testing.T) {
	t.Parallel()
	a := mustParse(t, `
- id: jupyter
  image: registry.example.org/lab/jupyter:2026.1
  command: ["start.sh", "--port={port}", "--user={user.slug}"]
  port: 8888
  env: {SIZE: "{options.size}", JSON: '{"a": 1}'}
  volumes: [{name: home, path: /home/user}]
  resources: {cpu: 2, memory: unlimited}
  ready: {status: [200-399, 404]}
  idle_timeout: 0
  max_lifetime: 12h
  options:
    - {id: size, default: small, choices: {small: {memory: 2Gi}, large: {memory: 8Gi, cpu: 4}}}
  security: {run_as: 1000}
`)
	equal(t, a.Resources.Memory, Unlimited)
	equal(t, a.idleTimeout(), 0)
	equal(t, time.Duration(a.MaxLifetime), 12*time.Hour)
	equal(t, a.Volumes[0].Per, "user")
	owner := Owner{ID: "u1", Name: "Ana", Slug: "ana"}
	s, err := a.resolve(place{owner: owner, session: "s1", host: "h"}, map[string]any{"size": "large"}, true)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, s.Command[1].With(4711, "", ""), "--port=4711")
	equal(t, s.Command[2], "--user=ana")
	equal(t, s.Env["JSON"], `{"a": 1}`)
	equal(t, s.Env["SIZE"], "large")
	equal(t, s.Resources.Memory, 8<<30)
	equal(t, s.Resources.CPU, 4)
}

func TestWhatIsWrongWithAnEntry(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ yaml, want string }{
		"no id":                {"- {image: x}", "no id"},
		"an id with a hyphen":  {"- {id: a--b, image: x}", "no id"},
		"a reserved id":        {"- {id: api, image: x}", "no id"},
		"nothing to run":       {"- {id: a}", "needs an image or a command"},
		"unknown key":          {"- {id: a, image: x, privileged: true}", "privileged"},
		"privileged":           {"- {id: a, image: x, security: {privileged: true}}", "privileged"},
		"root":                 {"- {id: a, image: x, security: {run_as: 0}}", "root"},
		"unknown placeholder":  {"- {id: a, image: x, command: ['{usr}']}", "{usr}"},
		"a volume that climbs": {"- {id: a, image: x, volumes: [{name: v, path: /a/../etc}]}", "clean absolute path"},
		"a claim of no name":   {"- {id: a, image: x, volumes: [{name: v, path: /a, source: 'claim:'}]}", "names no claim"},
		"a relative source":    {"- {id: a, image: x, volumes: [{name: v, path: /a, source: data}]}", "neither a clean absolute path nor claim:NAME"},
		"our variable":         {"- {id: a, image: x, env: {LODGE_X: y}}", "Lodge's own"},
		"a bad time":           {"- {id: a, image: x, idle_timeout: soon}", "no time span"},
		"a bad size":           {"- {id: a, image: x, resources: {memory: lots}}", "no size"},
		"twice":                {"- {id: a, image: x}\n- {id: a, image: y}", "stands twice"},
		"an unknown header":    {"- {id: a, image: x, identity: {headers: [Authorization]}}", "no header that Lodge sets"},
		"all at once":          {"- {id: A, image: x}\n- {id: b}", "needs an image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseCatalogue([]byte(row.yaml))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want something with %q", err, row.want)
			}
		})
	}
}

func TestChosenOptions(t *testing.T) {
	t.Parallel()
	low, high := 1.0, 4.0
	a := App{Options: []Option{
		{ID: "size", Type: "choice", Default: "s", Choices: map[string]Resources{"s": {}, "l": {}}},
		{ID: "branch", Type: "text"},
		{ID: "n", Type: "number", Min: &low, Max: &high},
		{ID: "gpu", Type: "boolean"},
	}}
	for name, row := range map[string]struct {
		chosen map[string]any
		wrong  string
	}{
		"nothing":       {nil, ""},
		"all":           {map[string]any{"size": "l", "branch": "main/x", "n": 2.0, "gpu": true}, ""},
		"not offered":   {map[string]any{"size": "xl"}, "size"},
		"an extra key":  {map[string]any{"image": "evil"}, "image"},
		"a path out":    {map[string]any{"branch": "a/../b"}, "branch"},
		"an option":     {map[string]any{"branch": "--upload-pack=x"}, "branch"},
		"a placeholder": {map[string]any{"branch": "{user}"}, "branch"},
		"too many":      {map[string]any{"n": 5.0}, "n"},
		"no truth":      {map[string]any{"gpu": "yes"}, "gpu"},
		"no text":       {map[string]any{"branch": 1.0}, "branch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, wrong := a.choose(row.chosen)
			if row.wrong == "" && len(wrong) > 0 || row.wrong != "" && (len(wrong) != 1 || wrong[0].key != row.wrong) {
				t.Errorf("got %v, want a fault at %q", wrong, row.wrong)
			}
		})
	}
}

func TestAValueBecomesNoOption(t *testing.T) {
	t.Parallel()
	a := App{ID: "a", Command: []string{"run", "{user}"}}.withDefaults()
	if _, err := a.resolve(place{owner: Owner{Name: "--config=/etc/passwd"}}, nil, true); err == nil {
		t.Error("a name that reads like an option became an argument")
	}
	s, err := a.resolve(place{owner: Owner{Name: "{port}{home}"}}, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, s.Command[1].With(1, "", "/secret"), "porthome")
}

func TestAllow(t *testing.T) {
	t.Parallel()
	ana := &access.Caller{UserID: "1", Issuer: "https://i", Subject: "42", Name: "ana", Roles: []access.Role{"scientist"}}
	for name, row := range map[string]struct {
		allow            Allow
		listed, admitted bool
	}{
		"nothing":         {Allow{}, false, false},
		"a role":          {Allow{Roles: []access.Role{"scientist"}}, true, true},
		"another role":    {Allow{Roles: []access.Role{"staff"}}, true, false},
		"an account":      {Allow{Users: []string{"ben"}}, true, false},
		"a chosen name":   {Allow{Users: []string{"ana"}}, true, false},
		"an identity":     {Allow{Users: []string{"https://i|42"}}, true, true},
		"a foreign one":   {Allow{Users: []string{"https://other|42"}}, true, false},
		"everybody":       {Allow{Users: []string{"*"}}, true, true},
		"denied all same": {Allow{Users: []string{"ana"}, DenyRoles: []access.Role{"scientist"}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listed, admitted := row.allow.admits(ana, "lodge")
			equal(t, listed, row.listed)
			equal(t, admitted, row.admitted)
		})
	}
	account := &access.Caller{UserID: "2", Issuer: "lodge", Subject: "43", Name: "ana"}
	if _, admitted := (Allow{Users: []string{"ana"}}).admits(account, "lodge"); !admitted {
		t.Error("an account is not found by its name")
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	equal(t, slugs("ana", "i", "1")[0], "ana")
	seen := map[string]string{}
	taken := func(name, issuer string) string {
		for _, s := range slugs(name, issuer, name) {
			if !slugPattern.MatchString(s) || len(s) > maxSlug {
				t.Errorf("%q is no slug", s)
			}
			if _, there := seen[s]; !there {
				seen[s] = name + issuer
				return s
			}
		}
		t.Errorf("no slug left for %q", name)
		return ""
	}
	other := slugs("a.b", "i", "a.b")[0]
	for _, name := range []string{"a.b", "a-b", "A-B", "a@x", "a@y", strings.Repeat("n", 300), "\u0430na", "ana", "a--b", "-a", other, "用户"} {
		taken(name, "https://one")
		taken(name, "https://two")
	}
	equal(t, len(seen), 24)
}

func TestSizesAndTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{"512Mi": 512 << 20, "2Gi": 2 << 30, "1000": 1000, "unlimited": Unlimited, "1.5Gi": 3 << 29, "5G": 5e9, "7kB": 7000} {
		var s Size
		noError(t, s.UnmarshalText([]byte(text)))
		equal(t, s, want)
		out, err := s.MarshalText()
		noError(t, err)
		var again Size
		noError(t, again.UnmarshalText(out))
		equal(t, again, want)
	}
	for _, text := range []string{"90s", "1h", "1h30m", "5m"} {
		var d Duration
		noError(t, d.UnmarshalText([]byte(text)))
		out, err := d.MarshalText()
		noError(t, err)
		if text != "90s" {
			equal(t, string(out), text)
		}
	}
}

func TestServiceHubConf(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/servicehub.conf")
	noError(t, err)
	hub, err := ParseServiceHub(text)
	noError(t, err)
	equal(t, hub.LogLevel, "error")
	equal(t, hub.Lifetime, 12*time.Hour)
	equal(t, hub.Remove, false)
	equal(t, len(hub.Apps), 1)
	a := hub.Apps[0]
	equal(t, a.ID, "echoheaders")
	equal(t, a.Image, "echoheaders:latest")
	equal(t, a.idleTimeout(), 12*time.Hour)
	equal(t, a.Autostart, true)
	equal(t, a.Identity.Headers[0], "userid")
	equal(t, a.Port, 8080)
}

func TestServiceHubForms(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text  string
		apps  string
		level string
		idle  time.Duration
		wrong string
	}{
		"the least":           {"[image]\nname=x", "x=x:latest", "", 6 * time.Hour, ""},
		"the other spelling":  {"[application]\nlogging_level: 'DEBUG'\n[image]\nname=x", "x=x:latest", "debug", 6 * time.Hour, ""},
		"a registry and tag":  {"[image]\nname = r.example.org:5000/lab/My_App:1.2\n", "my-app=r.example.org:5000/lab/My_App:1.2", "", 6 * time.Hour, ""},
		"several":             {"[images]\nfoo = a/b:1\nbar = c\n", "bar=c foo=a/b:1", "", 6 * time.Hour, ""},
		"comments, CRLF":      {"; c\r\n[image] # c\r\nname = x\r\n# c\r\n[session]\r\nlifetime = 60\r\n", "x=x:latest", "", time.Minute, ""},
		"no image":            {"[session]\nlifetime=1\n", "", "", 0, "[image] name"},
		"no number":           {"[image]\nname=x\n[session]\nlifetime=long\n", "", "", 0, "no number of seconds"},
		"before a section":    {"name=x\n", "", "", 0, "before any section"},
		"an open section":     {"[image\n", "", "", 0, "opens no section"},
		"an image with space": {"[image]\nname = a b\n", "", "", 0, "no image reference"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, err := ParseServiceHub([]byte(row.text))
			if row.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), row.wrong) {
					t.Fatalf("got %v, want %q", err, row.wrong)
				}
				return
			}
			noError(t, err)
			var got []string
			for _, a := range hub.Apps {
				got = append(got, string(a.ID)+"="+a.Image)
			}
			equal(t, strings.Join(got, " "), row.apps)
			equal(t, hub.LogLevel, row.level)
			equal(t, hub.Lifetime, row.idle)
		})
	}
	hub, err := ParseServiceHub([]byte("[image]\nname=a\nlabel=1\n"), []byte("[image]\nname=b\n"))
	noError(t, err)
	equal(t, hub.Apps[0].Image, "b:1")
}

// FuzzServiceHub: whatever is in the file, it is refused or gives apps that are fit to run.
func FuzzServiceHub(f *testing.F) {
	for _, text := range []string{"[image]\nname=x\n", "[images]\na=b\n[session]\nlifetime=1", "[a]\n b\n", "[image]\nname = a\n b", "[image]\nname=-{user}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hub, err := ParseServiceHub([]byte(text))
		if err != nil {
			return
		}
		if len(hub.Apps) == 0 {
			t.Error("no app, and no error")
		}
		for _, a := range hub.Apps {
			if wrong := a.check(); len(wrong) > 0 {
				t.Errorf("%+v: %v", a, wrong)
			}
		}
	})
}

// FuzzParseApp: an entry that is accepted can be run for anybody, and keeps its meaning when written out.
func FuzzParseApp(f *testing.F) {
	f.Add(`{"id":"a","image":"x"}`)
	f.Add(`{"id":"a","command":["{user}"],"options":[{"id":"o","choices":{"x":{}}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseApp([]byte(text))
		if err != nil {
			return
		}
		if wrong := a.check(); len(wrong) > 0 {
			t.Errorf("%v", wrong)
		}
	})
}
