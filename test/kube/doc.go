// Package kube tells stories on a real Kubernetes cluster: pods run as processes, their logs and exit
// codes are real, and the API server, the scheduler and the controllers are Kubernetes' own. Only what
// plays Argo is a stand-in (tools/kube/wfstub), and a test that rests on it says so in its name: it
// proves what Lodge may expect of a Workflow as Argo was seen to treat it, and nothing about Argo.
//
//	make e2e-kube    starts the cluster of tools/kube, tells the stories, and stops it again
//
// The stories have the build tag kube, so that `make test` passes them over; when they are asked for
// and there is no cluster, they fail. docs/kubernetes.md records the last real run.
//
//	cluster_test.go     the cluster and what is asked of it
//	machine_test.go     pods, services, claims and rights, without Argo
//	workflow_test.go    a workflow and what can be seen of it
//	standin_test.go     workflows that Lodge has written, on the stand-in
//	jobsite_test.go     a server of the built binary whose jobs run on the cluster
//	jobs_test.go        jobs of Lodge, on the stand-in
//	places_test.go      workspaces, secrets, rights; what the API server takes
//	restart_test.go     what dies in the middle
//	apps_test.go        the driver of apps
//	apps_lodge_test.go  the built binary with apps on the cluster
package kube
