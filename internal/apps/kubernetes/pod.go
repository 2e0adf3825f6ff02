package kubernetes

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// container is the name of the only one in a pod.
const container = "app"

// gpu is what a graphics processor is called by the plug-in that hands most of them out.
const gpu corev1.ResourceName = "nvidia.com/gpu"

// backstop is how much longer than Lodge would let it an app may run while Lodge is away.
const backstop = 5 * time.Minute

// defaultTmpfs is what an app may write to when its root is read-only.
var defaultTmpfs = map[string]apps.Size{"/tmp": 256 << 20}

// podName is for people who look at the cluster; but as it is the same each time, there is never more
// than one pod of an app session.
func podName(s apps.Spec) string {
	return "lodge-" + s.ID[:min(8, len(s.ID))] + "-" + string(s.App) + "-" + s.Slug
}

func (d *Driver) labels(s apps.Spec) map[string]string {
	return map[string]string{
		labelInstallation: d.cfg.Installation, labelSession: s.ID, labelRun: strconv.FormatInt(s.Run, 10), labelApp: string(s.App),
		labelOwner: s.OwnerID, labelSlug: s.Slug, labelSpec: s.Hash,
	}
}

// check says what this driver cannot run.
func check(s apps.Spec) error {
	switch {
	case s.Image == "":
		return fault.New(fault.Invalid, "the kubernetes driver needs an image; this app has only a command")
	case s.Socket:
		return fault.New(fault.Invalid, "the kubernetes driver reaches apps by a port, not by a socket")
	case s.Port < 1 || s.Port > math.MaxUint16:
		return fault.New(fault.Invalid, "%d is no port", s.Port)
	}
	return nil
}

// pod is what the cluster is asked to make of a spec.
func (d *Driver) pod(s apps.Spec) (*corev1.Pod, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	volumes, mounts, home, err := d.mounts(s)
	if err != nil {
		return nil, err
	}
	own, err := identity(s.Security)
	if err != nil {
		return nil, err
	}
	app := corev1.Container{
		Name: container, Image: s.Image, ImagePullPolicy: pullPolicy(d.cfg.Pull), Env: environment(s, home), VolumeMounts: mounts,
		Ports:     []corev1.ContainerPort{{ContainerPort: int32(s.Port), Protocol: corev1.ProtocolTCP}},
		Resources: resources(s.Resources),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Privileged: new(false), ReadOnlyRootFilesystem: new(readOnly(s)),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: capabilities(s.Security.CapAdd)},
		},
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}
	for _, arg := range s.Command {
		app.Args = append(app.Args, literal(arg.With(s.Port, "", home)))
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(s), Namespace: d.cfg.Namespace, Labels: d.labels(s)},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{app}, Volumes: volumes, RestartPolicy: corev1.RestartPolicyNever, SecurityContext: own,
			AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false), TerminationGracePeriodSeconds: new(seconds(s.GraceStop)),
			NodeSelector: maps.Clone(d.cfg.NodeSelector),
		},
	}
	for _, name := range d.cfg.PullSecrets {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	if s.Security.Runtime != "" {
		p.Spec.RuntimeClassName = new(s.Security.Runtime)
	}
	if s.MaxLifetime > 0 {
		p.Spec.ActiveDeadlineSeconds = new(seconds(s.MaxLifetime + backstop))
	}
	return p, nil
}

// seconds are whole ones, and never none: a pod that is given no time is forgotten and not ended.
func seconds(of time.Duration) int64 { return max(1, int64(math.Ceil(of.Seconds()))) }

func pullPolicy(pull string) corev1.PullPolicy {
	switch pull {
	case PullAlways:
		return corev1.PullAlways
	case PullNever:
		return corev1.PullNever
	default:
		return corev1.PullIfNotPresent
	}
}

// identity is whom a pod runs as, and whose its volumes are.
func identity(rule apps.SecurityRule) (*corev1.PodSecurityContext, error) {
	own := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(!rule.AllowRoot),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if rule.RunAs == "image" {
		return own, nil
	}
	id, err := strconv.ParseInt(string(rule.RunAs), 10, 64)
	if err != nil || id < 0 {
		return nil, fault.New(fault.Invalid, "security.run_as: %q is no user's number", rule.RunAs)
	}
	own.RunAsUser, own.RunAsGroup, own.FSGroup = new(id), new(id), new(id)
	own.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch) // or a large home would be walked at each start
	return own, nil
}

func capabilities(names []string) (list []corev1.Capability) {
	for _, name := range names {
		list = append(list, corev1.Capability(strings.TrimPrefix(name, "CAP_")))
	}
	return list
}

func readOnly(s apps.Spec) bool { return s.Security.ReadOnlyRoot == nil || *s.Security.ReadOnlyRoot }

func resources(r apps.Resources) corev1.ResourceRequirements {
	limits, requests := corev1.ResourceList{}, corev1.ResourceList{}
	set := func(in corev1.ResourceList, name corev1.ResourceName, q *resource.Quantity, is bool) {
		if is {
			in[name] = *q
		}
	}
	set(limits, corev1.ResourceCPU, cores(r.CPU), r.CPU > 0)
	set(requests, corev1.ResourceCPU, cores(r.CPURequest), r.CPURequest > 0)
	set(limits, corev1.ResourceMemory, bytes(r.Memory), r.Memory > 0)
	set(requests, corev1.ResourceMemory, bytes(r.MemoryRequest), r.MemoryRequest > 0)
	set(limits, corev1.ResourceEphemeralStorage, bytes(r.Disk), r.Disk > 0)
	set(limits, gpu, resource.NewQuantity(int64(r.GPU), resource.DecimalSI), r.GPU > 0)
	return corev1.ResourceRequirements{Limits: limits, Requests: requests}
}

func cores(n float64) *resource.Quantity {
	return resource.NewMilliQuantity(int64(math.Ceil(n*1000)), resource.DecimalSI)
}

func bytes(n apps.Size) *resource.Quantity { return resource.NewQuantity(int64(n), resource.BinarySI) }

// literal keeps Kubernetes from filling in what it takes for variables of its own.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// environment is what the app is told, besides what its image says.
func environment(s apps.Spec, home string) []corev1.EnvVar {
	all := map[string]string{"PORT": strconv.Itoa(s.Port)}
	for name, value := range s.Env {
		all[name] = value.With(s.Port, "", home)
	}
	maps.Copy(all, s.Secrets)
	for _, v := range s.Volumes {
		all["LODGE_VOLUME_"+strings.ToUpper(strings.ReplaceAll(v.Name, "-", "_"))] = v.Path
	}
	list := make([]corev1.EnvVar, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, corev1.EnvVar{Name: name, Value: literal(all[name])})
	}
	return list
}
