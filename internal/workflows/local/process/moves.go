package process

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lodge/internal/workflows/local"
	"lodge/internal/workflows/spec"
)

// moves puts the paths that a step's component names into the step's folder. They are replaced
// wherever they stand as a whole, or before a slash.
type moves struct {
	root string
	from []string
	to   map[string]string
}

func newMoves(root string) *moves { return &moves{root: root, to: map[string]string{}} }

// add moves a path to another, or below the root.
func (m *moves) add(from, to string) {
	from = path.Clean(from)
	if !path.IsAbs(from) || from == "/" {
		return // relative ones are in the folder already
	}
	if to == "" {
		to = filepath.Join(m.root, from)
	}
	if _, there := m.to[from]; !there {
		m.from = append(m.from, from)
		// The longest first: it may begin with another.
		slices.SortFunc(m.from, func(a, b string) int { return len(b) - len(a) })
	}
	m.to[from] = to
}

// in replaces the paths in a text.
func (m *moves) in(text string) string {
	if len(m.from) == 0 || !strings.Contains(text, "/") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		from := ""
		if text[i] == '/' && (i == 0 || !partOfName(text[i-1]) && text[i-1] != '/') {
			for _, candidate := range m.from {
				if rest, ok := strings.CutPrefix(text[i:], candidate); ok && (rest == "" || !partOfName(rest[0])) {
					from = candidate
					break
				}
			}
		}
		if from == "" {
			out.WriteByte(text[i])
			i++
			continue
		}
		out.WriteString(m.to[from])
		i += len(from)
	}
	return out.String()
}

// partOfName says whether a byte goes on with the name of a file. A dot may also end a sentence, and is
// taken for a part of the name.
func partOfName(b byte) bool {
	return b == '.' || b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// volume is the folder that a volume is here.
func (d *Driver) volume(workspace string, id local.ID, name string, volumes []spec.KubeVolume) (string, error) {
	i := slices.IndexFunc(volumes, func(v spec.KubeVolume) bool { return v.Name == name })
	if i < 0 {
		return "", fmt.Errorf("there is no volume %s", name)
	}
	source, err := local.SourceOf(volumes[i])
	switch {
	case err != nil:
		return "", err
	case source.Claim != "":
		return filepath.Join(d.cfg.Folder, "volumes", workspace, source.Claim), nil
	case source.Host != "":
		return source.Host, nil
	default:
		return filepath.Join(d.jobFolder(id.Job), "volumes", name), nil
	}
}
