"""The manifest of an indexed job: right by Kubernetes' schema, and its pods make the folder of one run.

    indexed_job.py BINARY

There is no Kubernetes here: each pod is the manifest's own command line, with the variable that Kubernetes sets.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import album

MANIFEST = pathlib.Path(__file__).resolve().parents[2] / "examples/cluster/kubernetes.yaml"


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    job = yaml.safe_load(MANIFEST.read_text())
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(job, version, strict=True)
    try:
        kubernetes_validate.validate({**job, "spec": {**job["spec"], "completion": 4}}, version, strict=True)
        sys.exit("the schema would take anything")
    except kubernetes_validate.ValidationError:
        pass

    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert f"auto/{spec['completions']}" in container["args"], "--shard knows how many pods there are"
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        album.make(work / "in", 12)
        album.upscale(binary, "-r", work / "in", work / "once")
        arguments = [argument.replace(mount["mountPath"], folder) for argument in container["args"]]
        pods = [
            subprocess.Popen([binary, *arguments], env={**os.environ, "JOB_COMPLETION_INDEX": str(index)}, stderr=subprocess.PIPE)
            for index in range(spec["completions"])
        ]
        for pod in pods:
            _, said = pod.communicate()
            assert pod.returncode == 0, said
        album.same(work / "out", work / "once")
    print(f"Kubernetes: right by the schema of {version}; {len(pods)} pods make the folder of one run")


if __name__ == "__main__":
    main()
