"""doctor.py: what of a user's files, and of the machine, will make trouble; each check answers with a `Finding`."""

from utils.cli.doctor.arguments import doctor_arguments
from utils.cli.doctor.commands import Files
from utils.cli.doctor.finding import Finding
from utils.cli.doctor.run import examine, run_doctor

__all__ = ["Files", "Finding", "doctor_arguments", "examine", "run_doctor"]
