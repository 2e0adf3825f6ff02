package kubernetes

import (
	"context"
	"encoding/json"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"lodge/internal/apps"
	"lodge/internal/fault"
)

// namespaceName is the label by which every namespace can be selected.
const namespaceName = "kubernetes.io/metadata.name"

// notInternet are the networks that egress to the internet does not include: private ones, those of
// carriers, and the addresses at which clouds hand out a machine's credentials.
var (
	notInternet4 = []string{"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}
	notInternet6 = []string{"::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10"}
)

// nodeDNS is where the usual cache of each node answers.
const nodeDNS = "169.254.20.10/32"

// policy lets Lodge in and nobody else, at the app's port, and the app out as far as its entry says.
func (d *Driver) policy(s apps.Spec) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(int32(s.Port))
	var from []networkingv1.NetworkPolicyPeer
	if d.cfg.LodgeNamespace != "" {
		from = append(from, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceName: d.cfg.LodgeNamespace}}})
	}
	for _, n := range d.cfg.LodgeNetworks {
		from = append(from, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: n.String()}})
	}
	p := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: podName(s), Namespace: d.cfg.Namespace, Labels: d.labels(s)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{labelInstallation: d.cfg.Installation, labelSession: s.ID}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Egress:      egress(s.Security.Egress),
		},
	}
	if len(from) > 0 { // a rule without anybody in it would be for everybody
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: []networkingv1.NetworkPolicyPort{{Protocol: new(corev1.ProtocolTCP), Port: &port}}}}
	}
	return p
}

// egress is the way out that an entry asks for; what it does not know leads nowhere.
func egress(rule string) []networkingv1.NetworkPolicyEgressRule {
	switch rule {
	case "all":
		return []networkingv1.NetworkPolicyEgressRule{{}}
	case "internet", "":
		dns := intstr.FromInt32(53)
		return []networkingv1.NetworkPolicyEgressRule{
			{
				To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}, {IPBlock: &networkingv1.IPBlock{CIDR: nodeDNS}}},
				Ports: []networkingv1.NetworkPolicyPort{
					{Protocol: new(corev1.ProtocolUDP), Port: &dns}, {Protocol: new(corev1.ProtocolTCP), Port: &dns},
				},
			},
			{To: []networkingv1.NetworkPolicyPeer{
				{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: notInternet4}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: notInternet6}},
			}},
		}
	default:
		return nil
	}
}

// ensurePolicy makes an app's policy before its pod, so that there is no moment without.
func (d *Driver) ensurePolicy(ctx context.Context, s apps.Spec) error {
	_, err := d.policies().Create(ctx, d.policy(s), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return refused(ctx, err, "make the network policy")
	}
	is, err := d.policies().Get(ctx, podName(s), metav1.GetOptions{})
	switch {
	case err != nil:
		return plain(ctx, err, "look at the network policy")
	case is.Labels[labelInstallation] != d.cfg.Installation || is.Labels[labelSession] != s.ID:
		return fault.New(fault.Conflict, "a network policy of the same name is there, and not ours")
	case is.Labels[labelRun] == strconv.FormatInt(s.Run, 10):
		return nil
	}
	// An earlier run's, which may have had another port.
	if err := d.policies().Delete(ctx, is.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &is.UID}}); err != nil && !apierrors.IsNotFound(err) {
		return plain(ctx, err, "remove the earlier network policy")
	}
	_, err = d.policies().Create(ctx, d.policy(s), metav1.CreateOptions{})
	return refused(ctx, err, "make the network policy")
}

// bindPolicy has a policy go with its pod, should that be removed by somebody else.
func (d *Driver) bindPolicy(ctx context.Context, p *corev1.Pod) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID},
	}}})
	if err == nil {
		_, err = d.policies().Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		d.log.DebugContext(ctx, "a network policy will not go with its pod by itself", "pod", p.Name, "error", err)
	}
}

// removePolicies takes away what an app session has of them, up to this run.
func (d *Driver) removePolicies(ctx context.Context, id string, run int64) error {
	list, err := d.policies().List(ctx, d.of(id))
	if err != nil {
		return plain(ctx, err, "list the network policies")
	}
	for _, one := range list.Items {
		if of, err := strconv.ParseInt(one.Labels[labelRun], 10, 64); err == nil && of > run {
			continue
		}
		err := d.policies().Delete(ctx, one.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &one.UID}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // a conflict: another has its name by now
			return plain(ctx, err, "remove the network policy")
		}
	}
	return nil
}
