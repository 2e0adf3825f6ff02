package local

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"

	"lodge/internal/workflows/spec"
)

// Source is what a volume is made of: a claim is kept for its workspace, a host path is the machine's,
// and one with neither is empty at the job's beginning and goes with the job.
type Source struct {
	Claim, Host string
}

var claimName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// SourceOf reads what a volume is made of. Other sources need a cluster.
func SourceOf(v spec.KubeVolume) (s Source, err error) {
	text, err := spec.Encode(v)
	if err != nil {
		return s, err
	}
	var k struct {
		EmptyDir              *struct{}
		HostPath              *struct{ Path string }
		PersistentVolumeClaim *struct{ ClaimName string }
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return s, fmt.Errorf("the volume %s cannot be read: %w", v.Name, err)
	}
	switch {
	case k.EmptyDir != nil:
		return s, nil
	case k.PersistentVolumeClaim != nil:
		if !claimName.MatchString(k.PersistentVolumeClaim.ClaimName) {
			return s, fmt.Errorf("the volume %s names no claim", v.Name)
		}
		return Source{Claim: k.PersistentVolumeClaim.ClaimName}, nil
	case k.HostPath != nil:
		if !path.IsAbs(k.HostPath.Path) {
			return s, fmt.Errorf("the volume %s names no folder of the machine", v.Name)
		}
		return Source{Host: path.Clean(k.HostPath.Path)}, nil
	default:
		return s, fmt.Errorf("the volume %s is of a kind that needs a cluster: emptyDir, hostPath and persistentVolumeClaim can be mounted here", v.Name)
	}
}
