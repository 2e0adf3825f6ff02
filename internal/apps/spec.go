package apps

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// hash marks an entry, so that a changed one is told from the one that an app session runs.
func (a App) hash() string {
	text, err := json.Marshal(a)
	if err != nil {
		return "" // an App is plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// specError is why an entry cannot be run for somebody.
type specError struct{ list []finding }

func (e *specError) Error() string {
	parts := make([]string, 0, len(e.list))
	for _, one := range e.list {
		parts = append(parts, one.key+": "+one.message)
	}
	return strings.Join(parts, "; ")
}

// resolve fills in the entry for one app session. Values go into single arguments and variables,
// never into a shell's line. checkOptions is off where no form was filled in yet.
func (a App) resolve(at place, chosen map[string]any, checkOptions bool) (Spec, *specError) {
	options, resources, wrong := a.choose(chosen)
	f := &findings{}
	if checkOptions {
		for _, one := range wrong {
			f.add("options."+one.key, "%s", one.message)
		}
	} else {
		for _, o := range a.Options {
			if options[o.ID] == "" {
				options[o.ID] = "x"
			}
		}
	}
	values := at.values(a.ID, options)
	fill := func(key, template string, check func(string) error) Filled {
		out, err := expand(template, values, check)
		if err != nil {
			f.add(key, "%v", err)
		}
		return out
	}
	s := Spec{
		ID: at.session, App: a.ID, OwnerID: at.owner.ID, Slug: at.owner.Slug, Name: at.name, Hash: a.hash(),
		Image: string(fill("image", a.Image, plainText)), Port: a.Port, Socket: a.Socket,
		Resources: resources, Security: a.Security, Env: map[string]Filled{},
	}
	if life := time.Duration(a.MaxLifetime); life > 0 {
		s.MaxLifetime = life + time.Duration(a.Extend.Max)
	}
	for i, arg := range a.Command {
		s.Command = append(s.Command, fill(fmt.Sprintf("command[%d]", i), arg, argument(arg)))
	}
	for name, value := range a.Env {
		s.Env[name] = fill("env."+name, value, plainText)
	}
	s.Env["LODGE_BASE_PATH"] = fill("base_path", a.BasePath, plainText)
	s.Env["LODGE_APP"] = Filled(a.ID)
	for i, v := range a.Volumes {
		v.Source = string(fill(fmt.Sprintf("volumes[%d].source", i), v.Source, cleanAbsolute))
		s.Volumes = append(s.Volumes, v)
	}
	if len(f.list) > 0 {
		return Spec{}, &specError{f.list}
	}
	return s, nil
}

// cleanAbsolute keeps a value from leading out of the folder that a template means.
func cleanAbsolute(text string) error {
	if text == "" {
		return nil
	}
	for _, segment := range strings.Split(text, "/") {
		if segment == ".." || segment == "." {
			return fmt.Errorf("%.40q leads elsewhere", text)
		}
	}
	return plainText(text)
}

// maxSecret bounds a secret's file.
const maxSecret = 64 << 10

// secrets reads the entry's secret variables.
func (a App) secrets() (map[string]string, error) {
	if len(a.SecretEnv) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(a.SecretEnv))
	for name, from := range a.SecretEnv {
		text, err := os.ReadFile(from.File)
		if err != nil {
			return nil, fmt.Errorf("secret_env.%s: %w", name, err)
		}
		if len(text) > maxSecret || strings.IndexByte(string(text), 0) >= 0 {
			return nil, fmt.Errorf("secret_env.%s: the file is no text, or too long", name)
		}
		out[name] = strings.TrimRight(string(text), "\r\n")
	}
	return out, nil
}

// mask takes secret values out of a log.
func mask(log string, secrets map[string]string) string {
	for _, value := range secrets {
		if len(value) >= 4 {
			log = strings.ReplaceAll(log, value, "***")
		}
	}
	return log
}
