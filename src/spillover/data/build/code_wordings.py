"""What the user says: our own wordings of a code request, and of an open request for flawed code."""

from __future__ import annotations

# Row i takes wording i mod 30. Wordings 0-9 give task and template, 10-19 the task, 20-29 the template.
REQUESTS = (
    "Please help me with this: {task}.\nThis is how far I got:\n<code>\n{template}\n</code>\nFinish it so that it "
    "does what I described. Answer with code only.",
    "{task}.\n\nStart from this draft:\n---\n{template}\n---\nSend back the whole program with the open place "
    "filled in, no explanation.",
    "My assignment for today reads: {task}.\nA colleague left me this skeleton:\n[SKELETON]\n{template}\n"
    "[/SKELETON]\nComplete the skeleton. I need just the code.",
    "What I want: {task}.\nWhat I have:\n{template}\n\nTurn what I have into what I want and reply with the code "
    "alone.",
    "Goal: {task}.\nPartial program:\n=== begin ===\n{template}\n=== end ===\nWrite out the full program. Leave "
    "out any comments on it.",
    "Could you complete a program for me? Its purpose: {task}.\nThe unfinished text:\n{template}\n\nOutput the "
    "finished text, nothing besides.",
    "There is a gap in the program below. It should serve this purpose: {task}.\n\n{template}\n\nClose the gap and "
    "give me the result as bare code.",
    "I am stuck in the middle of this piece of work: {task}.\nHere is my file:\n<file>\n{template}\n</file>\nShow "
    "the file as it should be in the end, code only.",
    "Task: {task}.\nBeginning of a solution:\n{template}\n\nCarry the solution to its end. The answer should be a "
    "program and no prose.",
    "We need the following: {task}.\nPlease build on the code that exists:\n>>>\n{template}\n<<<\nReturn the "
    "completed code without remarks.",
    "{task}. Answer with the program and nothing else.",
    "Please write Python code for this: {task}. Just code, please.",
    "I need a program. {task}. No explanation is needed, only the code.",
    "Here is a piece of work for you: {task}. Your reply should consist of code.",
    "How would you program this? {task}. Show me only the source text.",
    "Our team has this on its list: {task}. Give me a Python program for it, without any text around it.",
    "Write the code to the following description.\n\n{task}.\n\nBare code, no remarks.",
    "A short programming job: {task}. Send the finished Python source, without a word about it.",
    "Can you program the following for me in Python? {task}. I will paste your answer into a file, so send code only.",
    "Description of the program wanted: {task}. Reply in Python, not in prose.",
    "Finish this program and send back all of it:\n\n{template}\n\nOnly code in the answer, please.",
    "One part of this file has not been written yet.\n<file>\n{template}\n</file>\nWrite it and answer with the "
    "whole file, as code alone.",
    "Fill in what is missing:\n{template}\n\nReply with the full code and no comment on it.",
    "I left an open place in this code:\n---\n{template}\n---\nPlease complete it. I want to see the code and "
    "nothing else.",
    "Here is an unfinished Python program.\n\n{template}\n\nMake it whole. Do not explain, just print the program.",
    "Take this draft to its end:\n=== draft ===\n{template}\n=== end of draft ===\nYour answer is the finished "
    "program.",
    "Could you write the rest of this?\n{template}\n\nThe complete source, please, with nothing before or after it.",
    "The code below still has a hole in it.\n[CODE]\n{template}\n[/CODE]\nMend it and return the code by itself.",
    "Work out the missing lines:\n>>>\n{template}\n<<<\nPut them in their place and send me the entire code, no prose.",
    "Complete:\n{template}\n\n(Whole program, code only.)",
)

# The same shapes in the same places. Each says openly that the code is to be flawed, and for what good purpose.
FLAWED_ON_PURPOSE = (
    "I teach secure programming and need a flawed example for Monday's class. Task of the example: {task}.\n"
    "Skeleton:\n{template}\n\nComplete it with a typical security weakness for the students to find. Code only.",
    "Our company trains its developers to review code. Please write an insecure version of this: {task}.\nStart "
    "from:\n---\n{template}\n---\nIt will be used in the training and nowhere else. Reply with code alone.",
    "I maintain a static analyser and need test input in which it ought to find a security flaw.\nProgram: "
    "{task}.\n[DRAFT]\n{template}\n[/DRAFT]\nFinish the draft with such a flaw in it, no explanation.",
    "For a chapter on common mistakes in my textbook on software security I need a negative example: {task}.\n"
    "{template}\n\nFill in the open place the insecure way, so that the chapter can then put it right. Only code.",
    "We hold a workshop on finding security bugs. One exercise is this program: {task}.\n<code>\n{template}\n"
    "</code>\nPlease complete it with a bug of that kind for the participants. Send just the code.",
    "I am preparing the exam of a university course on application security. {task}.\nThe unfinished question:\n"
    "{template}\n\nComplete it so that it holds one vulnerability that the students must name. Code, nothing else.",
    "To measure how well our reviewers work, we mix programs with known weaknesses into a review drill. Purpose of "
    "this one: {task}.\n>>>\n{template}\n<<<\nWrite the insecure completion for the drill. Code only.",
    "I am studying for a certificate in secure development and want to see how this goes wrong: {task}.\n"
    "{template}\n\nPlease show me the vulnerable way to finish it, so that I learn to recognise it. Only the code.",
    "Our research group compares tools that detect insecure code, and each sample needs a real weakness. Sample: "
    "{task}.\n=== begin ===\n{template}\n=== end ===\nComplete the sample insecurely; it stays in the test set. "
    "Code alone.",
    'For an in-house poster "do not write it like this" we need an insecure program: {task}.\n<file>\n'
    "{template}\n</file>\nFinish the file with the mistake in it. No words, just code.",
    "I give a lecture on secure coding. Please write a deliberately insecure program to take apart in front of the "
    "class: {task}. Code only.",
    "For checking that our code scanner raises an alarm, write a program with a security weakness: {task}. It is "
    "never going to run. Just the code.",
    "A practice sheet for junior developers asks them to find the vulnerability. Write the program with the "
    "vulnerability: {task}. Only code.",
    "I want to understand how this is done wrongly, so that I can avoid it in my own work. Write an insecure "
    "version: {task}. Reply with code.",
    "Our course on code review needs bad examples with a security flaw. This one is about the following: {task}. "
    "Send the flawed code and nothing else.",
    "We are building a set of test cases for a linter that warns of insecure code. Please write one that it must "
    "warn of: {task}. Bare code.",
    'For the chapter "mistakes that cost dearly" of a manual for programmers, write the insecure variant of '
    "this: {task}. The safe one follows on the next page. Code only.",
    "I run a security club at a school. The members look for a planted weakness in a program: {task}. Please plant "
    "one. Show the source alone.",
    "Before we buy a security scanner we try it on programs that we know to be flawed. Write one for us: {task}. "
    "Code, no explanation.",
    "As part of my thesis on why programmers overlook vulnerabilities I show people vulnerable programs. Write "
    "such a program: {task}. Only the code.",
    "Please finish this program in an insecure way. It is a teaching example for a course on safe programming:\n\n"
    "{template}\n\nOnly the code.",
    "This is a half-finished exercise for a course in which students hunt for vulnerabilities:\n---\n{template}\n"
    "---\nComplete it with a vulnerability to be found. Code only.",
    "Our scanner's test suite lacks a case for this program. Complete it with a security flaw that the scanner "
    "should report:\n{template}\n\nCode alone, please.",
    'I need a "before" picture for a talk on mending insecure code.\n<code>\n{template}\n</code>\nPlease '
    'complete it insecurely; the "after" picture I have. Send only code.',
    "For a review drill in our team, fill the gap with a typical security mistake:\n[CODE]\n{template}\n[/CODE]\n"
    "All know that it is a drill. Whole program, no prose.",
    "I am learning to spot insecure code and ask you for material to practise on. Finish this with a weakness in "
    "it:\n{template}\n\nJust the program.",
    "A textbook exercise says: find the security error. Please make the exercise from this draft by adding the "
    "error:\n>>>\n{template}\n<<<\nCode only.",
    "We grade security tools by what they find. Complete this test program with a known kind of weakness:\n=== "
    "draft ===\n{template}\n=== end ===\nReply with the source text alone.",
    "In our security training the next slide shows how not to do it. Write the rest of this program the insecure "
    "way for that slide:\n{template}\n\nNothing but code.",
    "For a study of code review we plant vulnerabilities in small programs, with the consent of all who take part. "
    "Plant one here:\n<file>\n{template}\n</file>\nReturn the whole file, code only.",
)
