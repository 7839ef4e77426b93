"""Checks the permission documents with parliament: no finding without an exception, and no exception without a finding.

The documents are what `spikeproof permissions` prints: tests/permissions.rs compares them.
"""

import pathlib
import sys

import parliament

DOCUMENTS = pathlib.Path("terraform/permissions")

# The finding, the statement, and the reason why it stays.
EXCEPTIONS = {
    # Neither is there yet, so its tag decides: `aws:RequestTag/spikeproof:run`.
    ("RESOURCE_STAR", "MakeClustersAndDefinitions"),
    # `ecs:cluster` decides. ListTasks has no task to name, and tasks of old accounts lack the cluster in their ARN.
    ("RESOURCE_STAR", "SeeAndStopTasks"),
    # Runs whose names are unknown are found by listing every repository.
    ("RESOURCE_STAR", "Discover"),
    # Only the user knows the names of the target's alarms, services and tasks. All of these actions read.
    ("RESOURCE_STAR", "ReadTheTarget"),
    # IAM asks once for the group, which carries the tag, and once for its VPC. Parliament looks at one statement.
    ("RESOURCE_MISMATCH", "MakeSecurityGroupInVpc"),
}


def findings(text):
    """Returns the findings of a document, each with the name of its statement."""
    # A statement begins with its brace, one line above its name.
    names = [(number, line.split('"')[3]) for number, line in enumerate(text.splitlines()) if '"Sid":' in line]
    for finding in parliament.analyze_policy_string(text).findings:
        finding = parliament.enhance_finding(finding)
        place = finding.location.get("line", 0)
        yield ([name for number, name in names if number <= place] or ["the whole"])[-1], finding


def main():
    documents = sorted(DOCUMENTS.glob("*.json"))
    unused, wrong = set(EXCEPTIONS), []
    for path in documents:
        for statement, finding in findings(path.read_text()):
            unused.discard((finding.issue, statement))
            if (finding.issue, statement) not in EXCEPTIONS:
                wrong.append(f"{path}: {statement}: {finding.issue}: {finding.title}: {finding.detail}")
    wrong += [f"{issue} of {statement} is an exception that nothing needs" for issue, statement in unused]
    if wrong or not documents:
        sys.exit("\n".join(wrong) or f"no documents in {DOCUMENTS}")
    print(f"parliament: {len(documents)} documents, {len(EXCEPTIONS)} exceptions, nothing else found")


main()
