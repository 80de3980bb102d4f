"""What nobody has run on the Hub's machine by coming through sudo, and what batch systems send all the same."""
from dataclasses import replace

import pytest
from jupyterhub_hpc_spawner import helper
from jupyterhub_hpc_spawner.script import render_submission
from jupyterhub_hpc_spawner.through_sudo import (
    OPTIONS, Refused, refuse_arguments, refuse_lines, refuse_value)
from test_batch_contract import EVERY, FULL, TEMPLATES, system

# What a site may add, of each system.
EXTRA = {"slurm": "--exclusive", "pbs": '-W group_list="geo"', "torque": "-l file=1gb", "sge": "-jc 'high mem' -v A=-1",
         "lsf": "-app jupyter", "condor": '+Project = "geo, \\"x\\" and y"'}


@EVERY
def test_all_that_the_batch_systems_send_is_taken(name):
    made = system(name)
    request = replace(FULL, extra_directives=(EXTRA[name],), prologue="echo '#$ -j'; cat x-jsv")
    text = render_submission(request, made, TEMPLATES)[0]
    commands = [made.submit_command(FULL), made.status_command(), made.cancel_command("7.0"),
                made.find_command("jupyter-abc", "alice@example.org")]
    commands += [made.estimate_command(FULL)] if hasattr(made, "estimate_command") else []
    for program, *arguments in commands:
        refuse_arguments(program, arguments)
        refuse_lines(program, text)


@pytest.mark.parametrize("line", [
    "qsub -jsv /var/tmp/x", "qsub -@ /var/tmp/x", "qsub /var/tmp/x", "qsub x", "qsub -b y id", "qsub -C %", "qsub -fx",
    "qsub -terse=1 -jsv=x", "sbatch --parsable /var/tmp/x", "sbatch --export-file=x", "sbatch --wrap id", "sbatch -o x",
    "sbatch -D x", "bsub id", "bsub -pack x", "bsub -env x", "condor_submit x", "condor_submit -append x=y",
    "condor_submit -remote x", "condor_q -print-format x", "condor_q -constraint /var/tmp/x", "condor_rm -debug",
    "squeue -o@ --json", "squeue --name/x", "qstat -j @x", "qstat @/x", "qdel @x", "qdel -W /x", "bkill -s x",
    "scancel -u x", "bjobs -o ../x"])
def test_an_argument_that_no_batch_system_of_ours_uses_is_refused(line):
    program, *arguments = line.split()
    with pytest.raises(Refused, match=f"is no argument of {program}"):
        refuse_arguments(program, arguments)


def test_the_helper_knows_the_options_of_all_its_programs():
    assert helper.PROGRAMS == set(OPTIONS)


@pytest.mark.parametrize("line", [
    "#$ -jsv /var/tmp/x", "#$-jsv /x", "#$ -N a -jsv script:x", "#$\t-@ /var/tmp/x", '#$ "-jsv" x', "#$ -j''sv x",
    '#$ "-"jsv x', "#$ -\\jsv x", "#$ -@x", "#$ -N a\r-jsv x"])
def test_no_line_has_qsub_run_a_program_at_once(line):
    with pytest.raises(Refused, match="-jsv or -@"):
        refuse_lines("qsub", f"#!/bin/bash\n#$ -N x\ntrue\n{line}\ntrue\n")
    refuse_lines("sbatch", line)


@pytest.mark.parametrize("lines", [
    "include : /var/tmp/x", "include command : id", "INCLUDE : id |", "include = id |", "use FEATURE : x",
    "queue from id |", "queue x from id |", "Queue in (a b)", "queue 1 from x", "queue = from id |", "queue matching x",
    "queue \\\nfrom id |", "# a comment \\\ninclude : id |", "inc\\\nlude : id |", "x = \\ \ninclude : id |", "if true",
    "x @=end\na\n@end", "universe = local", "Universe=Scheduler", "universe = grid", "universe = $(x)", "universe = 12",
    "+JobUniverse = 12", "my.jobuniverse = 7", "JobUniverse = 7", "+My.JobUniverse = 7", "universe : local", "local"])
def test_no_line_has_condor_run_a_program_at_once_or_a_job_on_this_machine(lines):
    with pytest.raises(Refused, match="may run a program on this machine"):
        refuse_lines("condor_submit", f"executable = /bin/true\n{lines}\nqueue\n")


def test_other_lines_of_a_description_are_the_sites():
    refuse_lines("condor_submit", '# pool\n\n  Universe = Docker\n+A = regexp("a\\.b", C) # x\nMY.B=1\n queue 2 \r\n')


@pytest.mark.parametrize("variable", [
    "CONDOR_CONFIG=sh -c id |", "_CONDOR_CONDOR_HOST=$(HOME)", "SLURM_CONF=`id`", "SLURM_CONF=/etc/x\n", "SGE_CELL=a/b",
    "SGE_CELL=../../var/tmp/x", "PBS_SERVER=x,../y", "TZ=/var/tmp/x", "TZ=:/var/tmp/x", "TZ=../../var/tmp/x",
    "TZ=Etc/..", "TZ=Europe/../../x", "TZ=a/b/c/d",
    "TZ=Etc/UTC\n", "LANG=/var/tmp/x", "LANG=../x", "LC_ALL=de/x", "LC_ALL=C:x"])
def test_a_value_that_is_not_what_it_should_be_is_refused(variable):
    with pytest.raises(Refused, match="cannot be the value|does not begin with /"):
        refuse_value(*variable.split("=", 1))


@pytest.mark.parametrize("variable", [
    "TZ=UTC", "TZ=Europe/Zurich", "TZ=America/Argentina/Rio_Gallegos", "TZ=Etc/GMT+1", "TZ=CET-1CEST,M3.5.0,M10.5.0",
    "LANG=C.UTF-8", "LC_ALL=de_CH.UTF-8@euro", "SGE_CELL=default", "LSF_SERVER_HOSTS=a b", "PBS_SERVER=pbs1:15001",
    "SLURM_CONF=/etc/slurm/slurm.conf", "_CONDOR_COLLECTOR_HOST=cm.example.org:9618,cm2"])
def test_a_value_of_the_system_is_taken(variable):
    refuse_value(*variable.split("=", 1))
