import { pythonClient } from '../helpers/clients/python-clients';

pythonClient('openai-agents, Responses', ['client_openai_agents.py']);
pythonClient('openai-agents, chat completions', ['client_openai_agents.py', 'chat']);
