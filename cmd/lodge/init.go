package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"lodge/internal/config"
)

// settingsInitCommand writes a lodge.yaml from a few questions: what ServiceHub's authors planned for
// their vhost, hub and certificate together. What a flag says is not asked.
type settingsInitCommand struct {
	Output       string `short:"o" help:"File to write." default:"lodge.yaml" placeholder:"FILE"`
	Force        bool   `help:"Write over a file that is there."`
	Yes          bool   `short:"y" help:"Ask nothing: what no flag says has its default."`
	Domain       string `help:"Host name that people type, such as lodge.example.org; this machine alone when empty." placeholder:"HOST"`
	TLS          string `name:"tls" help:"Who encrypts: files, acme, or proxy when something in front does." enum:",files,acme,proxy" default:"" placeholder:"KIND"`
	Cert         string `help:"Certificate file." placeholder:"FILE"`
	Key          string `help:"Key file." placeholder:"FILE"`
	Email        string `help:"Where the certificate authority writes to." placeholder:"ADDRESS"`
	Proxy        string `help:"Address or network of the proxy in front." placeholder:"NETWORK"`
	Issuer       string `help:"OpenID Connect provider; the one in Lodge when empty." placeholder:"URL"`
	ClientID     string `name:"client-id" help:"Client id at the provider." placeholder:"ID"`
	ClientSecret string `name:"client-secret" help:"Client secret at the provider; better in the variable LODGE_CLIENT_SECRET." env:"LODGE_CLIENT_SECRET" placeholder:"SECRET"`
	Admin        string `help:"Name of the first administrator at the provider." placeholder:"NAME"`
	Image        string `help:"Image of the first app; the samples when empty." placeholder:"IMAGE"`
	App          string `help:"Its id, such as jupyter." placeholder:"ID"`
	Port         string `help:"The port that it listens at." placeholder:"PORT"`
	Role         string `help:"Who may use it; everybody who can log in when empty." placeholder:"ROLE"`
}

// question asks for a value that no flag has given.
type question struct {
	value    *string
	text     string
	fallback string
	// when says whether it is to be asked at all; nil is always.
	when func() bool
	// check says what is wrong with an answer; nil takes all.
	check func(string) error
}

func (c *settingsInitCommand) Run(t *terminal) error {
	if _, err := os.Stat(c.Output); err == nil && !c.Force {
		return fmt.Errorf("%s is there already: --force writes over it, --output names another", c.Output)
	}
	lines := bufio.NewReader(t.in)
	for _, q := range c.questions() {
		if q.when != nil && !q.when() {
			continue
		}
		if err := c.ask(t, lines, q); err != nil {
			return err
		}
	}
	text := c.file()
	if err := readable(text); err != nil {
		return err
	}
	// It may hold a secret.
	if err := os.WriteFile(c.Output, []byte(text), 0o600); err != nil {
		return err
	}
	t.say("%s is written. `lodge doctor --config %s` looks at everything that it names;\n`lodge serve --config %s` starts the site.\n", c.Output, c.Output, c.Output)
	if c.Domain != "" {
		t.say("People come to https://%s, their apps are below apps.%s: let both names, and *.apps.%s, lead here.\n", c.Domain, c.Domain, c.Domain)
	}
	if c.Issuer != "" {
		t.say("Register the address https://%s/auth/callback at the provider.\n", c.Domain)
	}
	return nil
}

func (c *settingsInitCommand) questions() []question {
	public := func() bool { return c.Domain != "" }
	issuer := func() bool { return c.Issuer != "" }
	image := func() bool { return c.Image != "" }
	tls := func(kind string) func() bool { return func() bool { return c.TLS == kind } }
	needed := func(text string) error {
		if text == "" {
			return errors.New("this is needed")
		}
		return nil
	}
	return []question{
		{value: &c.Domain, text: "Host name that people type (empty: this machine alone)", check: hostName},
		{value: &c.TLS, text: "Who encrypts: files, acme or proxy", fallback: "files", when: public, check: oneOf("files", "acme", "proxy")},
		{value: &c.Cert, text: "Certificate file, which must hold for *.apps. too", when: tls("files"), check: needed},
		{value: &c.Key, text: "Key file", when: tls("files"), check: needed},
		{value: &c.Email, text: "Where the certificate authority writes to", when: tls("acme"), check: needed},
		{value: &c.Proxy, text: "Address or network of the proxy", fallback: "127.0.0.1", when: tls("proxy")},
		{value: &c.Issuer, text: "OpenID Connect provider (empty: the one in Lodge)"},
		{value: &c.ClientID, text: "Client id there", fallback: "lodge", when: issuer},
		{value: &c.ClientSecret, text: "Client secret there", when: issuer},
		{value: &c.Admin, text: "First administrator's name there", when: issuer, check: needed},
		{value: &c.Image, text: "Image of the first app (empty: the samples)"},
		{value: &c.App, text: "Its id, such as jupyter", fallback: "first", when: image},
		{value: &c.Port, text: "The port that it listens at", fallback: "8080", when: image},
		{value: &c.Role, text: "The role that may use it (empty: everybody who can log in)", when: image},
	}
}

// ask asks until the answer is good.
func (c *settingsInitCommand) ask(t *terminal, lines *bufio.Reader, q question) error {
	check := func(text string) error {
		if q.check == nil {
			return nil
		}
		return q.check(text)
	}
	if *q.value != "" {
		return check(*q.value)
	}
	if c.Yes {
		*q.value = q.fallback
		if err := check(*q.value); err != nil {
			return fmt.Errorf("%s: %w: a flag can say it", q.text, err)
		}
		return nil
	}
	for {
		hint := ""
		if q.fallback != "" {
			hint = " [" + q.fallback + "]"
		}
		t.say("%s%s: ", q.text, hint)
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return errors.New("the answers ended before the questions: --yes asks nothing")
		}
		if *q.value = strings.TrimSpace(line); *q.value == "" {
			*q.value = q.fallback
		}
		if err := check(*q.value); err == nil {
			return nil
		} else if t.say("  %v\n", err); line == "" {
			return err
		}
	}
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		for _, word := range words {
			if text == word {
				return nil
			}
		}
		return fmt.Errorf("choose one of %s", strings.Join(words, ", "))
	}
}

func hostName(text string) error {
	if strings.ContainsAny(text, "/: ") {
		return errors.New("give the name alone, without https:// and port")
	}
	return nil
}

// file is the lodge.yaml of the answers.
func (c *settingsInitCommand) file() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by `lodge config init`; `lodge config example` explains every setting.")
	if c.Domain != "" {
		line("public_url: %q", "https://"+c.Domain)
	}
	switch c.TLS {
	case "files":
		line("listen: \":443\"\ntls:\n  cert_file: %q\n  key_file: %q", c.Cert, c.Key)
	case "acme":
		line("listen: \":443\"\ntls:\n  acme:\n    domains: [%q]\n    email: %q", c.Domain, c.Email)
	case "proxy":
		line("listen: \":8080\"\nhttp:\n  trusted_proxies: [%q]", c.Proxy)
	}
	if c.Issuer != "" {
		line("identity:\n  admins: [%q]\n  issuers:\n    - issuer: %q\n      client_id: %q", c.Admin, c.Issuer, c.ClientID)
		if c.ClientSecret != "" {
			line("      client_secret: %q", c.ClientSecret)
		}
	}
	if c.Image == "" && c.TLS != "acme" {
		return b.String()
	}
	line("apps:")
	if c.TLS == "acme" {
		line("  # An authority gives no certificate for *.apps. by this way: trusted apps are served below /apps/.")
		line("  routing: path")
	}
	if c.Image != "" {
		line("  driver: docker\n  catalogue:\n    - id: %q\n      image: %q\n      port: %s", c.App, c.Image, c.Port)
		if c.Role != "" {
			line("      allow: {roles: [%q]}", c.Role)
		} else {
			line("      allow: {users: [\"*\"]}")
		}
		if c.TLS == "acme" {
			line("      # Only if you trust it like Lodge itself: its scripts can act as whoever uses it.")
			line("      #trusted: true")
		}
	}
	return b.String()
}

// readable reads the file back as the server will.
func readable(text string) error {
	file, err := os.CreateTemp("", "lodge-*.yaml")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if _, err := config.Load(config.Input{File: file.Name()}); err != nil {
		return fmt.Errorf("these answers make no good settings: %w", err)
	}
	return nil
}
