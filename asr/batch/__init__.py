"""Archives: any number of recordings to transcripts, once each, whatever happens meanwhile.

    sources    folders, globs, lists and addresses -> the recordings there are
    manifest   what is known of each: its content, how far it is, why it failed (SQLite: database, rows)
    shelf      where the transcripts stand, each file whole or not there
    together   windows of different recordings fill one batch: the engine never waits between files
    archive    all of it: what is done is skipped, what fails is tried again and then set aside
    shares     the same shared out to engines in processes of their own: processes, or cluster (Ray)
    pace       how fast it goes, how long it will take, what it cost; report: what became of it

A recording is known by its content (BLAKE2b of its bytes) and by what was asked (model and options):
renamed files and duplicates are not heard twice. The one moment that counts is when a transcript's
text enters the manifest. A process killed after it only has to write the files again. Of a long
recording the parts enter as they are heard: a process killed in its middle goes on behind the last one.
"""
